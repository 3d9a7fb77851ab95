"""Alerts: which troubles an operator is told of, once when they begin and once when they are over, and in which
words. No lead and no referrer is ever in one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from app.core.causes import CATALOGUE, Cause, CauseText

CIRCUIT_STAYS_OPEN = timedelta(minutes=10)
"""A vendor that is away for a moment is nobody's trouble: what waits is sent when it is back."""

WAITS = tuple(timedelta(seconds=one) for one in (120, 300, 900, 3600))
"""Between attempts to tell; the first is also longer than one can take."""


class Kind(StrEnum):
    CONNECTION = "connection_lost"
    CIRCUIT = "circuit_open"
    DEAD = "events_dead"


class State(StrEnum):
    BEGUN = "begun"
    """To be told."""
    TOLD = "told"
    OVER = "over"
    """Told, and its end is to be told."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """``key`` is the same for as long as it lasts: ``circuit_open:intercom:1``. ``what`` names it in words; ``path``
    is the console's page where it can be mended."""

    key: str
    what: str
    cause: str
    since: datetime | None
    path: str

    @property
    def kind(self) -> str:
        return self.key.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Changes:
    """By key: troubles to be told anew, those that ended untold, those whose end is to be told, and those that are
    there again before their end was told."""

    begin: frozenset[str]
    drop: frozenset[str]
    end: frozenset[str]
    again: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.begin or self.drop or self.end or self.again)


@dataclass(frozen=True, slots=True)
class Message:
    """The same for a reader (``subject``, ``text``) and for a program (``alerts``)."""

    subject: str
    text: str
    alerts: Sequence[Mapping[str, Any]]


def changes(standing: Collection[str], known: Mapping[str, State], untouched: Collection[str] = ()) -> Changes:
    """What follows from the troubles that stand and from what was told; of ``untouched`` ones an attempt to tell is
    under way, or was made just now."""
    now, free = set(standing), {key: state for key, state in known.items() if key not in set(untouched)}
    return Changes(
        begin=frozenset(now - known.keys()),
        drop=frozenset(key for key, state in free.items() if state is State.BEGUN and key not in now),
        end=frozenset(key for key, state in free.items() if state is State.TOLD and key not in now),
        again=frozenset(key for key, state in free.items() if state is State.OVER and key in now),
    )


def wait_after(attempts: int) -> timedelta:
    """How long after the attempt of this number (the first is 0) the next may be made."""
    return WAITS[min(attempts, len(WAITS) - 1)]


def message(begun: Sequence[Trouble], over: Sequence[Trouble], public_url: str) -> Message:
    """One for all that is to be told at this moment."""
    parts = [_begun(one, public_url) for one in begun] + [_over(one) for one in over]
    told = [_document(one, "begun", public_url) for one in begun] + [
        _document(one, "over", public_url) for one in over
    ]
    return Message(_subject(begun, over), "\n\n".join(parts), told)


def _subject(begun: Sequence[Trouble], over: Sequence[Trouble]) -> str:
    first, more = (begun or over)[0], len(begun) + len(over) - 1
    said = _capital(first.what) if begun else f"Over: {first.what}"
    return f"Referloop: {said}" + (f", and {more} more" if more else "")


def _begun(trouble: Trouble, public_url: str) -> str:
    text = _text(trouble.cause)
    since = f", since {trouble.since:%Y-%m-%d %H:%M} UTC" if trouble.since else ""
    return f"{_capital(trouble.what)}{since}. {text.explanation} {text.remedy}\n{public_url}{trouble.path}"


def _over(trouble: Trouble) -> str:
    return f"Over: {trouble.what}."


def _document(trouble: Trouble, state: str, public_url: str) -> dict[str, Any]:
    return {
        "key": trouble.key,
        "kind": trouble.kind,
        "state": state,
        "what": trouble.what,
        "cause": trouble.cause,
        "since": trouble.since.isoformat() if trouble.since else None,
        "url": f"{public_url}{trouble.path}",
    }


def _text(cause: str) -> CauseText:
    """Of a cause that another version has written, this one may know nothing."""
    return CATALOGUE[Cause(cause) if cause in set(Cause) else Cause.INTERNAL_ERROR]


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
