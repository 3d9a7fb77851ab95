"""Every switch of the sandbox, with its default.

Where a vendor's real answer is not known, the answer is a switch; the default is the likelier or the harsher one.
"""

from __future__ import annotations

from typing import Any

# What Intercom does with a value that it can't hold: a 400 that names the attribute, a 400 that names nothing,
# or a 200 without the value.
REFUSALS = ("named", "unnamed", "ignore")

DEFAULTS: dict[str, Any] = {
    # Both vendors
    "latency_ms": 0,  # what each call takes at least
    "public_url": "http://127.0.0.1:9100",  # what referral links begin with
    # Intercom: search
    "index_delay_seconds": 120,  # how long search shows what was before a write
    "per_page_above_max": "cap",  # cap, or error: 400
    # Intercom: limits
    "intercom_calls_per_10s": 1666,  # a workspace
    "permission_answer": 403,  # 403 or 401 where a permission is missing
    "permission_code": "action_forbidden",  # the code of that 403
    # Intercom: what it does with attribute values
    "unknown_attribute": "named",  # there is no such attribute
    "archived_attribute": "named",  # in the words for an unknown one
    "locked_attribute": "ignore",  # not writable by the API
    "list_outside_options": "unnamed",  # also accept: it is stored
    "text_too_long": "truncate",  # over 255 characters; also truncate, accept
    "type_mismatch": "unnamed",
    "rule_violation": "unnamed",  # a pattern or length set in Intercom's screens
    # Intercom: who conflicts with whom
    "new_external_id_with_used_email": "second_user",  # second_user, or conflict
    "conflict_names_id": True,  # whether a 409 says which id
    "several_users_conflict": "unnamed",  # named: the oldest; unnamed: a text without an id
    "unchanged_put_counts": True,  # a PUT of the same values moves updated_at and notifies
    # Intercom: webhooks
    "echo_own_writes": True,  # notify of what the API itself wrote
    "merged_from_in_webhook": True,  # contact.merged says which lead is gone
    "webhook_retry_seconds": 60,  # by the simulated clock
    "webhook_timeout_seconds": 5,
    "intercom_webhook_duplicate": 0.0,  # probabilities
    "intercom_webhook_lose": 0.0,
    "intercom_webhook_copies": 2,  # how often a doubled one is sent
    "intercom_webhook_reorder": 0.0,  # held back until the next one has gone, or for 30 seconds
    "intercom_webhook_delay": 0.0,
    "intercom_webhook_delay_seconds": 10,  # for those that the dice delay
    # Referral Factory
    "referral_factory_calls_per_minute": 600,  # an account
    "referral_factory_window": "sliding",  # sliding, or fixed: by the minute
    "referral_factory_abuses_before_block": 3,  # this many 429s are forgiven
    "referral_factory_block_seconds": 604800,
    "referral_factory_block_answer": "403",  # 403, 429, or close: hang up
    "referral_factory_get_by_email": False,  # GET /users/<email> works
    "referral_factory_qualify_twice": "ok",  # ok: 200, or refuse: 422
    "referral_factory_ambiguous_email": "first",  # first by id, lead, or refuse: 422
    "referral_factory_slow_probability": 0.0,  # the long tail
    "referral_factory_slow_seconds": 26,
    "referral_factory_webhook_duplicate": 0.0,  # probabilities
    "referral_factory_webhook_lose": 0.0,
    "referral_factory_webhook_copies": 2,
    "referral_factory_webhook_reorder": 0.0,
    "referral_factory_webhook_delay": 0.0,
    "referral_factory_webhook_delay_seconds": 10,
}

CHOICES: dict[str, tuple[Any, ...]] = {
    "per_page_above_max": ("cap", "error"),
    "permission_answer": (401, 403),
    "permission_code": ("action_forbidden", "forbidden"),
    "unknown_attribute": REFUSALS,
    "archived_attribute": REFUSALS,
    "locked_attribute": REFUSALS,
    "list_outside_options": (*REFUSALS, "accept"),
    "text_too_long": (*REFUSALS, "truncate", "accept"),
    "type_mismatch": REFUSALS,
    "rule_violation": REFUSALS,
    "new_external_id_with_used_email": ("second_user", "conflict"),
    "several_users_conflict": ("named", "unnamed"),
    "referral_factory_window": ("sliding", "fixed"),
    "referral_factory_block_answer": ("403", "429", "close"),
    "referral_factory_qualify_twice": ("ok", "refuse"),
    "referral_factory_ambiguous_email": ("first", "lead", "refuse"),
}


class Settings:
    """The switches as attributes, changed only by `change`, which refuses unknown names and values."""

    def __init__(self, **changes: Any) -> None:
        self.__dict__.update(DEFAULTS)
        self.change(changes)

    def change(self, changes: dict[str, Any]) -> None:
        """Set several switches at once, all or none."""
        for name, value in changes.items():
            _check(name, value)
        self.__dict__.update(changes)

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that are no switch: the declared ones are in __dict__.
        raise AttributeError(f"there is no switch {name!r}")

    def as_dict(self) -> dict[str, Any]:
        """All switches, to show and to save."""
        return dict(self.__dict__)


def _check(name: str, value: Any) -> None:
    if name not in DEFAULTS:
        raise ValueError(f"there is no switch {name!r}")
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(str, CHOICES[name]))}")
        return
    default = DEFAULTS[name]
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, int | float):
        fits = isinstance(value, int | float) and value >= 0
    else:
        fits = isinstance(value, type(default))
    if not fits:
        raise ValueError(f"{name} can't be {value!r}")
