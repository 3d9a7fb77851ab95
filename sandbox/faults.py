"""Faults on order: which calls fail, and how.

A rule is a JSON object:

    {"vendor": "intercom",            # or "referral_factory"; left out: both
     "method": "POST",                # left out: any
     "path": "/contacts/*",           # shell pattern below the vendor's prefix; left out: any
     "body": "ann@example.com",       # only calls whose raw body holds this text
     "probability": 0.1,              # of the calls that match, by seeded dice
     "every": 3,                      # every third call that matches
     "count": 2,                      # at most twice in all
     "for_seconds": 60,               # and only so long, by the simulated clock
     "kind": "error_after",           # one of KINDS
     "status": 500,                   # for error_before and error_after
     "seconds": 1.0}                  # for timeout_* and webhook_late; slow takes "ms"

Both vendors share one address, so a connection can't be refused: `reset_before` hangs up unheard instead.

The kinds webhook_* strike notifications, not calls. There "path" is a pattern for the topic ("contact.lead.*",
"joined"), "body" a text in what is sent, such as a contact's id or email, and "method" means nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sandbox.clock import Clock

BEFORE = ("error_before", "timeout_before", "reset_before", "slow", "429", "unavailable")
AFTER = (
    "error_after",
    "timeout_after",
    "reset_after",
    "empty_body",
    "html_body",
    "missing_request_id",
    "extra_fields",
)
WEBHOOK = ("webhook_lose", "webhook_double", "webhook_triple", "webhook_late", "webhook_overtaken")
KINDS = BEFORE + AFTER + WEBHOOK
VENDORS = ("intercom", "referral_factory")


@dataclass
class Rule:
    """One fault and the calls it strikes."""

    kind: str
    vendor: str | None = None
    method: str | None = None
    path: str | None = None
    body: str | None = None
    probability: float | None = None
    every: int | None = None
    count: int | None = None
    for_seconds: float | None = None
    status: int = 500
    seconds: float = 30.0
    ms: int = 1000
    id: int = 0
    until: float | None = None
    seen: int = 0
    struck: int = 0

    def matches(self, vendor: str, method: str | None, path: str, body: str) -> bool:
        """Whether this rule is about such a call at all."""
        return (
            (self.vendor is None or self.vendor == vendor)
            and (method is None or self.method is None or self.method.upper() == method)
            and (self.path is None or fnmatchcase(path, self.path))
            and (self.body is None or self.body in body)
        )


@dataclass
class Faults:
    """The rules in force, and the dice."""

    seed: int = 1
    clock: Clock = field(default_factory=Clock)
    rules: list[Rule] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._next_id = 1

    def add(self, description: dict[str, Any]) -> Rule:
        """Put a rule in force; ValueError says what is wrong with it."""
        known = set(Rule.__dataclass_fields__) - {"id", "until", "seen", "struck"}
        if unknown := set(description) - known:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        if description.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if description.get("vendor") not in (None, *VENDORS):
            raise ValueError(f"vendor must be one of {', '.join(VENDORS)}")
        rule = Rule(**description)
        if rule.for_seconds is not None:
            rule.until = self.clock.now() + float(rule.for_seconds)
        rule.id = self._next_id
        self._next_id += 1
        self.rules.append(rule)
        return rule

    def remove(self, rule_id: int | None = None) -> None:
        """End one rule, or all of them."""
        self.rules = [] if rule_id is None else [rule for rule in self.rules if rule.id != rule_id]

    def reseed(self, seed: int) -> None:
        """Start the dice anew."""
        self.seed = seed
        self._dice = random.Random(seed)

    def strike(self, vendor: str, method: str, path: str, body: str) -> Rule | None:
        """The first rule that strikes this call."""
        return self._first(BEFORE + AFTER, vendor, method, path, body)

    def strike_notification(self, vendor: str, topic: str, body: str) -> Rule | None:
        """The first rule that strikes this notification."""
        return self._first(WEBHOOK, vendor, None, topic, body)

    def remove_where(self, ends: Callable[[Rule], bool]) -> None:
        """End some rules."""
        self.rules = [rule for rule in self.rules if not ends(rule)]

    def _first(self, kinds: tuple[str, ...], vendor: str, method: str | None, path: str, body: str) -> Rule | None:
        for rule in self.rules:
            if rule.kind in kinds and rule.matches(vendor, method, path, body) and self._falls(rule):
                rule.struck += 1
                return rule
        return None

    def _falls(self, rule: Rule) -> bool:
        rule.seen += 1
        if rule.until is not None and self.clock.now() >= rule.until:
            return False
        if rule.count is not None and rule.struck >= rule.count:
            return False
        if rule.every is not None and rule.seen % rule.every:
            return False
        return rule.probability is None or self._dice.random() < rule.probability

    def chance(self, probability: float) -> bool:
        """One throw of the seeded dice."""
        return probability > 0 and self._dice.random() < probability

    def as_list(self) -> list[dict[str, Any]]:
        """The rules, with how often each was seen and struck."""
        return [asdict(rule) for rule in self.rules]
