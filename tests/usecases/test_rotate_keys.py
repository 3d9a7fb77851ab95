"""Another key: everything that is sealed can be sealed anew with it, beside the work, and the former key let go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Text, select, update

from app.core.erasure import Names
from app.storage import erasures, sealed
from app.storage.tables import campaigns, erasure_keys, metadata, programs, workspaces
from app.storage.vault import Vault
from app.usecases import rotate_keys as module
from app.usecases.rotate_keys import rotate_keys
from tests.product import Product

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@pytest.fixture
def held(product: Product) -> Product:
    """An installation that holds a value of every kind, all sealed with the old key."""
    vault = Vault([OLD])
    product.services = replace(product.services, vault=vault)
    with product.database.writing() as connection:
        secrets = {name: vault.seal(name) for name in ("token", "client_secret", "former_client_secret")}
        connection.execute(update(workspaces).values(secrets))
        connection.execute(update(programs).values(token=vault.seal("rf")))
        connection.execute(update(campaigns).values(webhook_secret=vault.seal("w"), former_secret=vault.seal("f")))
        erasures.make_mark(connection, vault)
        erasures.begin(
            connection,
            vault,
            Names(emails=frozenset({"gone@example.com"})),
            actor="owner@example.com",
            workspace_id=1,
            stage="events",
            now=product.time,
            lease=timedelta(minutes=1),
        )
    return product


def with_keys(product: Product, *keys: str) -> Product:
    product.services = replace(product.services, vault=Vault(keys))
    return product


def values(product: Product) -> Iterator[tuple[str, str]]:
    """Whatever in all tables looks sealed, by its column."""
    with product.database.reading() as connection:
        for table in metadata.sorted_tables:
            texts = [column for column in table.c if isinstance(column.type, Text)]
            for row in connection.execute(select(*texts)) if texts else ():
                yield from ((str(column), one) for column, one in zip(texts, row, strict=True) if _is_sealed(one))


def _is_sealed(value: object) -> bool:
    return isinstance(value, str) and value.startswith("gAAAAA")


def test_every_place_is_known(held: Product) -> None:
    assert {column for column, _ in values(held)} == {str(column) for column in sealed.SEALED}


def test_all_is_sealed_anew_and_opens_without_the_old_key(held: Product) -> None:
    before = {(column, Vault([OLD]).open(one)) for column, one in values(held)}
    done = rotate_keys(with_keys(held, NEW, OLD).services)
    assert (done.resealed, done.current, done.lost) == (len(sealed.SEALED), 0, {})
    assert {(column, Vault([NEW]).open(one)) for column, one in values(held)} == before
    with pytest.raises(InvalidToken):
        Vault([OLD]).open(next(values(held))[1])
    again = rotate_keys(held.services)
    assert (again.resealed, again.current) == (0, len(sealed.SEALED))


def test_the_product_goes_on_with_the_new_key_alone(held: Product) -> None:
    with held.database.writing() as connection:
        connection.execute(update(campaigns).values(webhook_secret=Vault([OLD]).seal("webhook-secret")))
    rotate_keys(with_keys(held, NEW, OLD).services)
    with_keys(held, NEW).receive_lead()
    held.work_until_idle()
    assert [one.outcome for one in held.activity()] == ["created"]


def test_what_no_key_opens_is_told_and_left_as_it_is(held: Product) -> None:
    lost = Vault([OTHER]).seal("token")
    with held.database.writing() as connection:
        connection.execute(update(programs).values(token=lost))
    done = rotate_keys(with_keys(held, NEW, OLD).services)
    assert done.lost == {"programs.token": 1}
    assert ("programs.token", lost) in set(values(held))
    assert done.resealed == len(sealed.SEALED) - 1


def test_who_changes_a_secret_meanwhile_is_not_undone(held: Product) -> None:
    (former,) = [one for column, one in values(held) if column == "programs.token"]
    newer = Vault([NEW]).seal("another token")
    with held.database.writing() as connection:
        connection.execute(update(programs).values(token=newer))
        sealed.replace(connection, programs.c.token, [(held.program_id, former, Vault([NEW]).seal("rf"))])
    assert ("programs.token", newer) in set(values(held))


def test_many_are_done_page_by_page(held: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    for number in range(5):
        held.add_campaign(held.workspace_id, held.program_id, f"more-{number}")
    done = rotate_keys(with_keys(held, NEW, OLD).services)
    assert done.resealed == len(sealed.SEALED) + 5
    with held.database.reading() as connection:
        assert connection.execute(select(erasure_keys.c.sealed)).scalar_one()
