"""Whoever was erased on request is passed by: nothing of theirs is kept, sent or told, until they sign up anew.

Asked wherever people come in: by sweeps, readings, backfills, syncs and webhooks; and once more as anything is kept,
for work that had begun before the erasure. While nobody was ever erased, it costs one look at an empty table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from app.core.erasure import Who, referrer_in, without_referrer
from app.storage import erasures
from app.storage.people import PersonRecord
from app.storage.vault import Vault


def are_erased(connection: Connection, vault: Vault, named: Sequence[Who]) -> list[bool]:
    """Who of them was, in the order given; two queries, however many they are."""
    mark = erasures.mark(connection, vault) if named else None
    if mark is None:
        return [False] * len(named)
    digests = [one.digests(mark).keys() for one in named]
    found = erasures.among(connection, {digest for one in digests for digest in one})
    return [not found.isdisjoint(one) for one in digests]


def let_back(connection: Connection, vault: Vault, one: Who) -> bool:
    """A new signup: they are passed by no longer. Whether they were."""
    mark = erasures.mark(connection, vault)
    return mark is not None and erasures.let_back(connection, one.digests(mark))


def without_erased(
    connection: Connection, vault: Vault, records: Sequence[PersonRecord]
) -> tuple[list[PersonRecord], list[Who]]:
    """Those of the records that may be kept, their values without referrers that were erased; and these."""
    named = [_who(record) for record in records]
    referrers = [referrer_in(record.workspace_id, record.campaign_id, record.values) for record in records]
    asked = [*named, *(one for one in referrers if one is not None)]
    gone = {one for one, erased in zip(asked, are_erased(connection, vault, asked), strict=True) if erased}
    kept = [
        replace(record, values=without_referrer(record.values)) if referrer in gone else record
        for record, who, referrer in zip(records, named, referrers, strict=True)
        if who not in gone
    ]
    return kept, [one for one in referrers if one is not None and one in gone]


def _who(record: PersonRecord) -> Who:
    """Not by the contact, which may be somebody else's by now."""
    return Who(record.workspace_id, record.campaign_id, record.email, record.referral_factory_id, record.code)
