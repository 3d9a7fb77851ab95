"""Seals everything anew with the newest key, so that an older one can be let go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import InvalidToken
from sqlalchemy import Column

from app.storage import sealed
from app.usecases.services import Services

AT_ONCE = 500
"""Rows a transaction."""


@dataclass(slots=True)
class Rotated:
    """How many values were sealed anew, how many had been before, and where some can't be opened by any key."""

    resealed: int = 0
    current: int = 0
    lost: Counter[str] = field(default_factory=Counter)


def rotate_keys(services: Services) -> Rotated:
    """Beside the work that goes on; can be repeated, and begins nothing that another run would have to end."""
    done = Rotated()
    for column in sealed.SEALED:
        after = 0
        while found := _page(services, column, after):
            _reseal(services, column, found, done)
            after = max(found)
    return done


def _page(services: Services, column: Column[Any], after: int) -> Mapping[int, str]:
    with services.database.reading() as connection:
        return sealed.page(connection, column, after=after, limit=AT_ONCE)


def _reseal(services: Services, column: Column[Any], found: Mapping[int, str], done: Rotated) -> None:
    new = []
    for row_id, value in found.items():
        try:
            fresh = services.vault.reseal(value)
        except InvalidToken:
            done.lost[str(column)] += 1
            continue
        if fresh is None:
            done.current += 1
        else:
            new.append((row_id, value, fresh))
    with services.database.writing() as connection:
        sealed.replace(connection, column, new)
    done.resealed += len(new)
