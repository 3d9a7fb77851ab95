"""What becomes of each notification: what was asked for, else what a rule says, else what the switches' dice say.

In words:

    send        once and at once
    lose        never, and noted among the lost ones
    double      twice, under one id
    triple      three times
    late        after `seconds`, or the vendor's webhook_delay_seconds
    overtaken   a second after the next one of the same workspace or account, or alone after half a minute
    silent      there is none: the vendor had nothing to say
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from sandbox.webhooks import Fate

if TYPE_CHECKING:
    from sandbox.world import World

SILENT = "silent"
FATES = ("send", "lose", "double", "triple", "late", "overtaken", SILENT)
_COPIES = {"double": 2, "triple": 3}


def known(word: Any) -> str | None:
    """A fate's word, or None where none is asked for; ValueError for any other."""
    if word is not None and word not in FATES:
        raise ValueError(f"notification must be one of {', '.join(FATES)}")
    return str(word) if word is not None else None


def of(word: str, seconds: float) -> Fate:
    """A fate by its word."""
    return Fate(
        word,
        lost=word == "lose",
        copies=_COPIES.get(word, 1),
        wait=seconds if word == "late" else 0.0,
        overtaken=word == "overtaken",
    )


def choose(world: World, vendor: str, topic: str, said: dict[str, Any], asked: str | None = None) -> Fate:
    """The fate of a notification that says `said`."""
    late = getattr(world.settings, f"{vendor}_webhook_delay_seconds")
    if asked is not None:
        return of(asked, late)
    if world.faults.rules:
        rule = world.faults.strike_notification(vendor, topic, json.dumps(said, ensure_ascii=False))
        if rule is not None:
            return of(rule.kind.removeprefix("webhook_"), rule.seconds)
    return _by_dice(world, vendor, late)


def _by_dice(world: World, vendor: str, late: float) -> Fate:
    def falls(name: str) -> bool:
        probability = getattr(world.settings, f"{vendor}_webhook_{name}")
        return bool(probability > 0 and world.sender.dice.random() < probability)

    if falls("lose"):
        return Fate("lose", lost=True)
    overtaken, delayed, doubled = falls("reorder"), falls("delay"), falls("duplicate")
    copies = max(1, int(getattr(world.settings, f"{vendor}_webhook_copies"))) if doubled else 1
    words = [
        *(["overtaken"] if overtaken else []),
        *(["late"] if delayed else []),
        *([{1: "send", 2: "double", 3: "triple"}.get(copies, f"{copies} times")] if doubled else []),
    ]
    return Fate(", ".join(words) or "send", copies=copies, wait=late if delayed else 0.0, overtaken=overtaken)


def by_chances(chances: dict[str, Any], dice: random.Random) -> str:
    """One throw: each word has its share of all cases, and what is left over is sent."""
    throw, reached = dice.random(), 0.0
    for word, share in chances.items():
        reached += float(share)
        if throw < reached:
            return word
    return "send"
