"""Text that can be kept and sent: PostgreSQL stores no NUL, and UTF-8 has no half of a surrogate pair."""

from __future__ import annotations

from typing import Final

MOST_KEPT: Final = 2000
"""Code points kept of a name, an address or a message: within what an index bears, beyond what is honest."""


def is_storable(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    return not any(_is_unstorable(character) for character in text)


def storable(text: str | None, most: int = MOST_KEPT) -> str | None:
    """The text without what can't be stored, at most ``most`` code points of it."""
    if text is None:
        return None
    return "".join(character for character in text[:most] if not _is_unstorable(character))


def _is_unstorable(character: str) -> bool:
    return character == "\0" or "\ud800" <= character <= "\udfff"
