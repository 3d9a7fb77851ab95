"""A Referral Factory account is connected, changed, disconnected and connected again. Its campaigns stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from app.core.access import REPLACED, Change, difference
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest, Unauthorized
from app.integrations.referral_factory import ReferralFactory
from app.storage import audit_log, programs
from app.storage.vault import digest
from app.usecases.check_connections import release
from app.usecases.services import Services
from schemas.referral_factory import Campaign


@dataclass(frozen=True, slots=True)
class NewProgram:
    name: str
    access_token: str
    user_limit: int | None = None


def connect_program(services: Services, new: NewProgram, actor: str) -> int:
    """Try the token and keep it; the program's id. A disconnected program with this token is brought back.

    Raises:
        InvalidRequest: 422 where Referral Factory refuses the token, 409 where it is connected.
        ApiError: where Referral Factory can't be asked.
    """
    with services.database.reading() as connection:
        former = programs.by_token_digest(connection, digest(new.access_token))
    if former is not None and former.state == programs.CONNECTED:
        raise _connected_already()
    _try(services, new.access_token)
    columns = {"name": new.name, "user_limit": new.user_limit, **_token(services, new.access_token)}
    try:
        program_id = _keep(services, former, columns, actor)
    except IntegrityError as error:
        raise _connected_already() from error
    services.bell.ring()
    return program_id


def _keep(services: Services, former: Row[Any] | None, columns: dict[str, Any], actor: str) -> int:
    now = services.now()
    with services.database.writing() as connection:
        if former is None:
            program_id = programs.add(connection, created_at=now, **columns)
        else:
            program_id = int(former.id)
            if not programs.reconnect(connection, program_id, **columns):
                raise _connected_already()
            release(connection, f"program:{program_id}", now)
        _record(connection, now, actor, Change.PROGRAM_CONNECTED, former, program_id)
    return program_id


def _record(
    connection: Connection, now: datetime, actor: str, kind: Change, former: Row[Any] | None, program_id: int
) -> None:
    """The log is told what people know of a program, and of its token that it is another one now."""
    kept = programs.get(connection, program_id)
    assert kept is not None  # noqa: S101 - nobody removes it
    before = {name: former._mapping[name] for name in _TOLD} if former is not None else {}
    before, after = difference(before, {name: kept._mapping[name] for name in _TOLD})
    if former is not None and former.token_digest != kept.token_digest:
        after["access_token"] = REPLACED
    subject = f"program:{program_id}"
    audit_log.record(connection, now, actor, kind, subject, name=kept.name, before=before, after=after)


_TOLD = ("name", "user_limit", "state")


def _connected_already() -> InvalidRequest:
    return InvalidRequest("This token is connected already.", status=409, cause=Cause.ALREADY_EXISTS)


def _try(services: Services, token: str) -> None:
    """There is no call that checks a token; listing the campaigns is the cheapest."""
    try:
        services.vendors.referral_factory(token=token, budget_key=None).campaigns()
    except Unauthorized as error:
        cause, detail = Cause.REFERRAL_FACTORY_UNAUTHORIZED, "Referral Factory refuses this token."
        raise InvalidRequest(detail, cause=cause, errors=(FieldError("/access_token", cause, detail),)) from error


def _token(services: Services, token: str) -> dict[str, Any]:
    return {
        "token": services.vault.seal(token),
        "token_digest": digest(token),
        "state": programs.CONNECTED,
        "state_cause": None,
        "state_since": services.now(),
    }


def change_program(services: Services, program_id: int, changes: Mapping[str, Any], actor: str) -> None:
    """Change some of ``name, access_token, user_limit``. A new token is tried first; one that works connects a
    disconnected program again.

    Raises: InvalidRequest 404, and as ``connect_program``.
    """
    former = known_program(services, program_id)
    columns = {name: changes[name] for name in ("name", "user_limit") if name in changes}
    token = changes.get("access_token")
    if token is not None:
        _try(services, token)
        columns |= _token(services, token)
    if not columns:
        return
    try:
        with services.database.writing() as connection:
            programs.change(connection, program_id, **columns)
            if token is not None:
                release(connection, f"program:{program_id}", services.now())
            _record(connection, services.now(), actor, Change.PROGRAM_CHANGED, former, program_id)
    except IntegrityError as error:
        raise _connected_already() from error
    if token is not None:
        services.bell.ring()


def disconnect_program(services: Services, program_id: int, actor: str) -> None:
    """Forget the token; its digest stays, by which the same one is known again. All else stays too.

    Raises: InvalidRequest 404.
    """
    former = known_program(services, program_id)
    with services.database.writing() as connection:
        programs.change(
            connection,
            program_id,
            state=programs.DISCONNECTED,
            state_cause=Cause.REFERRAL_FACTORY_UNAUTHORIZED.value,
            state_since=services.now(),
            token=None,
        )
        _record(connection, services.now(), actor, Change.PROGRAM_DISCONNECTED, former, program_id)


def campaigns_of(services: Services, program_id: int) -> list[Campaign]:
    """The program's campaigns as Referral Factory has them now.

    Raises:
        InvalidRequest: 404; 409 for a disconnected program.
        ApiError: where Referral Factory stood in the way.
    """
    return way_to(services, known_program(services, program_id)).campaigns()


def known_program(services: Services, program_id: int) -> Row[Any]:
    """Raises: InvalidRequest 404."""
    with services.database.reading() as connection:
        program = programs.get(connection, program_id)
    if program is None:
        raise InvalidRequest("There is no such program.", status=404, cause=Cause.NOT_FOUND)
    return program


def way_to(services: Services, program: Row[Any]) -> ReferralFactory:
    """Raises: InvalidRequest 409 for a disconnected program."""
    if program.token is None:
        raise InvalidRequest(
            "This program is disconnected. Give it a new access token first.",
            status=409,
            cause=Cause.REFERRAL_FACTORY_UNAUTHORIZED,
        )
    return services.vendors.referral_factory(token=services.vault.open(program.token), budget_key=str(program.id))
