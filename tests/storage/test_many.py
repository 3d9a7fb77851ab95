"""Many rows by one statement: the same on both databases, whatever their number, and whatever is in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from app.storage.database import Database, insert
from app.storage.many import UpdateMany, among, put
from app.storage.tables import activity, creations, links

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
HARD = 'Zoë "quoted" \\ {braces}, \n\t 😀 NULL '


def link(person: str, **changes: Any) -> dict[str, Any]:
    known = {"person_key": person, "workspace_id": 1, "email": f"{person}@example.com", "contact_id": "c1"}
    return {
        **known,
        "role": "lead",
        "made_for_campaign_id": None,
        "made_for_audience": None,
        "linked_at": NOW,
        **changes,
    }


def creation(person: str) -> dict[str, Any]:
    made_for = {"person_key": person, "workspace_id": 1, "campaign_id": 1, "audience": "leads"}
    return {**made_for, "event_id": None, "role": "lead", "attempted_at": NOW}


@pytest.mark.parametrize("number", [1, 2, 70])
def test_rows_are_put_as_they_are_whatever_their_number(database: Database, number: int) -> None:
    rows = [link(f"{place:03d}{HARD}", email=HARD, contact_id=str(place)) for place in range(number)]
    with database.writing() as connection:
        put(connection, insert(connection, links), rows)
        kept = connection.execute(select(links).order_by(links.c.person_key)).mappings().all()
    assert [dict(row) for row in kept] == rows


def test_ids_are_given_in_the_order_of_the_rows(database: Database) -> None:
    names = [f"person{place}" for place in (5, 3, 9, 1)]
    with database.writing() as connection:
        statement = insert(connection, creations).returning(creations.c.id, creations.c.person_key)
        made = [row for result in put(connection, statement, [creation(one) for one in names]) for row in result]
    assert [row.person_key for row in sorted(made, key=lambda row: row.id)] == names


def test_the_same_row_may_be_changed_twice_by_what_is_put(database: Database) -> None:
    rows = [link("anna"), link("bert"), link("anna", role="user"), link("anna", role="lead", contact_id="c9")]
    with database.writing() as connection:
        statement = insert(connection, links)
        new = {name: statement.excluded[name] for name in ("role", "contact_id")}
        statement = statement.on_conflict_do_update(index_elements=["person_key"], set_=new)
        put(connection, statement, rows, key=("person_key",))
        kept = connection.execute(select(links.c.person_key, links.c.contact_id).order_by(links.c.person_key)).all()
    assert [tuple(row) for row in kept] == [("anna", "c9"), ("bert", "c1")]


@pytest.mark.parametrize(
    "fields", [{}, {"a": [1, None, HARD]}, [], [[1], [2, 3]], "text", None, 1.5, True, "nul\x00", ["\ud800"]]
)
def test_json_stays_what_it_was(database: Database, fields: object) -> None:
    row = {"workspace_id": 1, "at": NOW, "verb": "send", "outcome": "created", "campaign_id": 1, "fields": fields}
    with database.writing() as connection:
        put(connection, insert(connection, activity), [row, row])
        assert list(connection.execute(select(activity.c.fields)).scalars()) == [fields, fields]


_settle = UpdateMany(
    creations,
    "id",
    ("id", "outcome", "contact_id"),
    lambda new: (
        update(creations)
        .where(creations.c.id == new("id"))
        .values(outcome=new("outcome"), contact_id=new("contact_id"))
    ),
)


def test_each_row_is_changed_by_its_key_and_the_last_change_of_one_stands(database: Database) -> None:
    with database.writing() as connection:
        put(connection, insert(connection, creations), [creation(name) for name in "abc"])
        first, second, third = connection.execute(select(creations.c.id).order_by(creations.c.id)).scalars()
        changes = [(second, "refused", None), (first, "created", "c1"), (second, "created", "c2")]
        _settle.of(connection, [dict(zip(("id", "outcome", "contact_id"), one, strict=True)) for one in changes])
        _settle.of(connection, [])
        kept = connection.execute(select(creations.c.outcome, creations.c.contact_id).order_by(creations.c.id)).all()
    assert third is not None
    assert [tuple(row) for row in kept] == [("created", "c1"), ("created", "c2"), (None, None)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [((), []), (("a",), ["a"]), (("c", "a", "nobody"), ["a", "c"]), (tuple("abc") * 20, ["a", "b", "c"])],
)
def test_rows_are_found_among_many_values(database: Database, asked: tuple[str, ...], found: list[str]) -> None:
    with database.writing() as connection:
        put(connection, insert(connection, links), [link(name) for name in "abc"])
        mine = select(links.c.person_key).where(among(links.c.person_key, asked), among(links.c.workspace_id, {1}))
        assert list(connection.execute(mine.order_by(links.c.person_key)).scalars()) == found
