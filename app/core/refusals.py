"""Refused writes: how a contact still arrives without exactly the values that Intercom refuses."""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass

from app.core.mapping import EMAIL, NAME, REQUIRED
from app.core.people import CUSTOM, ContactDraft


@dataclass(frozen=True, slots=True)
class Refusal:
    """Intercom refused a write (400, 422); ``path`` is the attribute that it named, if it named one."""

    path: str | None = None


@dataclass(frozen=True, slots=True)
class Attempted:
    """Whether the contact was written, and which paths Intercom refused."""

    written: bool
    refused: tuple[str, ...] = ()


def attempts(whole: ContactDraft) -> Generator[ContactDraft, Refusal | None, Attempted]:
    """The writes that get a draft to Intercom without exactly the values that it refuses.

    Yields what to write next (the first that is taken creates where ``role`` is set, later ones update) and is sent
    ``None`` where Intercom took it. All at once first; without what a refusal names; if it names nothing, name and
    email alone and then the others by halves. ``Attempted.written`` is ``False`` where not even the email passes.
    """
    current, named = whole, []
    while refusal := (yield current):
        if refusal.path is None or refusal.path == EMAIL or refusal.path not in current.values:
            break
        named.append(refusal.path)
        current = current.without([refusal.path])
        if not current.values:
            return Attempted(written=True, refused=tuple(named))
    else:
        return Attempted(written=True, refused=tuple(named))
    core = yield from _core(current)
    if not core.written:
        return Attempted(written=False, refused=(*named, *core.refused))
    others = tuple(path for path in current.values if path not in REQUIRED)
    alone = len(others) == len(current.values)  # these very paths, and no more, have just been refused
    refused = yield from _drafts(_refused_among(others, known=alone), current)
    return Attempted(written=True, refused=(*named, *core.refused, *refused))


def _core(draft: ContactDraft) -> Generator[ContactDraft, Refusal | None, Attempted]:
    """Name and email alone; the email alone where even those are refused together."""
    core = draft.only(REQUIRED)
    if not core.values:
        return Attempted(written=True)
    # Nothing but these were in the draft, so they need no second refusal.
    if len(core.values) < len(draft.values) and not (yield core):
        return Attempted(written=True)
    if EMAIL not in core.values:
        return Attempted(written=True, refused=(NAME,))
    if NAME in core.values and not (yield core.only([EMAIL])):
        return Attempted(written=True, refused=(NAME,))
    return Attempted(written=False, refused=(EMAIL,))


def _drafts(
    trials: Generator[tuple[str, ...], Refusal | None, tuple[str, ...]], whole: ContactDraft
) -> Generator[ContactDraft, Refusal | None, tuple[str, ...]]:
    """The trials of groups of paths as updates: the contact is there by now, so they carry no role."""
    answer: Refusal | None = None
    try:
        group = next(trials)
        while True:
            answer = yield ContactDraft(whole.only(group).values)
            group = trials.send(answer)
    except StopIteration as end:
        refused: tuple[str, ...] = end.value
        return refused


def _refused_among(
    paths: tuple[str, ...], *, known: bool
) -> Generator[tuple[str, ...], Refusal | None, tuple[str, ...]]:
    """The refused ones of ``paths``; ``known`` says that the group as it stands was refused a moment ago."""
    if len(paths) <= 1 and (known or not paths):
        return paths
    if len(paths) == 1:
        return paths if (yield paths) else ()
    refused: tuple[str, ...] = ()
    for half in halves(paths):
        refused += yield from _trial(half)
    return refused


def _trial(group: tuple[str, ...]) -> Generator[tuple[str, ...], Refusal | None, tuple[str, ...]]:
    refusal = yield group
    if refusal is None:
        return ()
    if refusal.path not in group:
        return (yield from _refused_among(group, known=True))
    rest = tuple(path for path in group if path != refusal.path)
    return (refusal.path, *((yield from _trial(rest)) if rest else ()))


def halves(paths: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``paths`` in two, the first the larger by at most one."""
    middle = (len(paths) + 1) // 2
    return tuple(paths[:middle]), tuple(paths[middle:])


_NAMES_NO_ATTRIBUTE = frozenset({"not_found", "conflict", "resource_conflict", "server_error", "unauthorized"})
"""Codes that speak of the contact or the call, so that a word in the text is no attribute's name."""

_WORDS_OF_ERRORS = frozenset(
    {"attribute", "contact", "custom", "data", "email", "field", "id", "invalid", "lead", "type", "user", "value"}
)
"""Words that any error may contain: as the bare name of an attribute they prove nothing."""

_QUOTES = ("''", '""', "``", "‘’", "“”", "[]")


def named_attribute(message: str, code: str, paths: Collection[str]) -> str | None:
    """Which of the sent ``paths`` an Intercom error is about, ``None`` where it names none.

    Seen: ``Custom attribute 'isOpenSource' does not exist`` (``parameter_invalid``). A quoted name counts more than
    a bare one, a longer one more than a shorter.
    """
    if code in _NAMES_NO_ATTRIBUTE:
        return None
    longest_first = sorted(paths, key=lambda path: (-len(path), path))
    for is_named in (_is_quoted, _is_spelt_out, _is_mentioned):
        for path in longest_first:
            if is_named(path, message):
                return path
    return None


def _is_quoted(path: str, message: str) -> bool:
    names = (path, path.removeprefix(CUSTOM))
    return any(f"{quotes[0]}{name}{quotes[1]}" in message for quotes in _QUOTES for name in names)


def _is_spelt_out(path: str, message: str) -> bool:
    return path.startswith(CUSTOM) and _contains(path, message)


def _is_mentioned(path: str, message: str) -> bool:
    name = path.removeprefix(CUSTOM)
    return name.lower() not in _WORDS_OF_ERRORS and _contains(name, message)


def _contains(name: str, message: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) is not None
