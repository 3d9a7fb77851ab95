"""An Intercom workspace is connected, changed, disconnected and connected again. Its settings stay throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from app.core.access import REPLACED, Change, difference
from app.core.causes import Cause
from app.core.errors import ApiError, FieldError, InvalidRequest, Unauthorized
from app.integrations.intercom import HOSTS, Intercom
from app.storage import audit_log, workspaces
from app.storage.vault import digest
from app.usecases.check_connections import release
from app.usecases.refresh_catalogue import Survey, keep_survey, survey
from app.usecases.services import Services
from schemas.intercom import Workspace

FORMER_SECRET_LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class NewWorkspace:
    name: str
    region: str
    access_token: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class _Tried:
    """A token that works: whose it is, and what it lets us read."""

    identity: Workspace
    found: Survey


def connect_workspace(services: Services, new: NewWorkspace, actor: str) -> int:
    """Try the token, read the catalogue, and keep both; the workspace's id. Events that were held are released.

    Raises:
        InvalidRequest: 422 where Intercom refuses the token, 409 where the workspace or the token is connected.
        ApiError: where Intercom can't be asked.
    """
    _refuse_connected_token(services, new.access_token)
    tried = _try(services, new.region, new.access_token)
    try:
        workspace_id = _keep(services, new, tried, actor)
    except IntegrityError as error:
        raise _connected_already() from error
    services.bell.ring()
    return workspace_id


def _refuse_connected_token(services: Services, token: str) -> None:
    """Before asking Intercom. The unique key decides in the end."""
    with services.database.reading() as connection:
        known = workspaces.by_token_digest(connection, digest(token))
    if known is not None and known.state == workspaces.CONNECTED:
        raise _connected_already()


def _connected_already() -> InvalidRequest:
    return InvalidRequest(
        "This workspace, or this token, is connected already.", status=409, cause=Cause.ALREADY_EXISTS
    )


def _try(services: Services, region: str, token: str) -> _Tried:
    intercom = _untried(services, region, token)
    return _Tried(_identity(services, intercom, region, token), survey(intercom))


def _untried(services: Services, region: str, token: str) -> Intercom:
    return services.vendors.intercom(region=region, token=token, budget_key=None)


def _identity(services: Services, intercom: Intercom, region: str, token: str) -> Workspace:
    try:
        return intercom.me()
    except Unauthorized as error:
        answering = _region_that_answers(services, region, token)
        if answering is None:
            raise _refused("/access_token", "Intercom refuses this token.") from error
        raise _refused(
            "/region", f"Intercom refuses this token in the region {region}, and takes it in {answering}."
        ) from error


def _region_that_answers(services: Services, region: str, token: str) -> str | None:
    """A token of another region is refused like a wrong one. Who does not answer is not the one."""
    for other in HOSTS if services.vendors.regions_differ else ():
        if other == region:
            continue
        try:
            _untried(services, other, token).me()
        except ApiError:
            continue
        return other
    return None


def _refused(pointer: str, detail: str) -> InvalidRequest:
    cause = Cause.INTERCOM_UNAUTHORIZED
    return InvalidRequest(detail, cause=cause, errors=(FieldError(pointer, cause, detail),))


def _keep(services: Services, new: NewWorkspace, tried: _Tried, actor: str) -> int:
    """Raises: IntegrityError, InvalidRequest 409 where it is connected already."""
    now = services.now()
    columns: dict[str, Any] = {
        "name": new.name,
        "region": new.region,
        "timezone": tried.identity.timezone or "UTC",
        **_token(services, new.access_token),
    }
    with services.database.writing() as connection:
        former = workspaces.by_app_id(connection, tried.identity.app_id)
        if former is None:
            workspace_id = workspaces.add(
                connection,
                app_id=tried.identity.app_id,
                client_secret=services.vault.seal(new.client_secret),
                missing_permissions=[],
                created_at=now,
                **columns,
            )
        else:
            workspace_id = former.id
            secret = _new_secret(services, former, new.client_secret)
            again = {**columns, **secret, "missing_permissions": []}
            if not workspaces.reconnect(connection, workspace_id, **again):
                raise _connected_already()
        kept = workspaces.get(connection, workspace_id)
        assert kept is not None  # noqa: S101 - it was written a line above
        keep_survey(connection, kept, tried.found, now)
        release(connection, f"workspace:{workspace_id}", now)
        _record(connection, now, actor, Change.WORKSPACE_CONNECTED, former, kept)
    return workspace_id


def _record(
    connection: Connection, now: datetime, actor: str, kind: Change, former: Row[Any] | None, kept: Row[Any]
) -> None:
    """The log is told what people know of a workspace, and of its secrets that they are others now."""
    before = {name: former._mapping[name] for name in _TOLD} if former is not None else {}
    before, after = difference(before, {name: kept._mapping[name] for name in _TOLD})
    if former is not None:
        for name, column in (("access_token", "token_digest"), ("client_secret", "client_secret")):
            if former._mapping[column] != kept._mapping[column] and kept._mapping[column] is not None:
                after[name] = REPLACED
    subject = f"workspace:{kept.id}"
    audit_log.record(connection, now, actor, kind, subject, name=kept.name, before=before, after=after)


_TOLD = ("name", "app_id", "region", "timezone", "state")


def _token(services: Services, token: str) -> dict[str, Any]:
    return {
        "token": services.vault.seal(token),
        "token_digest": digest(token),
        "state": workspaces.CONNECTED,
        "state_cause": None,
        "state_since": services.now(),
    }


def _new_secret(services: Services, workspace: Row[Any], secret: str) -> dict[str, Any]:
    """The former secret stays valid for a day: Intercom may still sign with it."""
    if workspace.client_secret is not None and services.vault.open(workspace.client_secret) == secret:
        return {}
    return {
        "client_secret": services.vault.seal(secret),
        "former_client_secret": workspace.client_secret,
        "former_until": services.now() + FORMER_SECRET_LASTS,
    }


def change_workspace(services: Services, workspace_id: int, changes: Mapping[str, str], actor: str) -> None:
    """Change some of ``name, region, access_token, client_secret``. A new token or region is tried first; one that
    works connects a disconnected workspace again.

    Raises:
        InvalidRequest: 404; 422 where Intercom refuses the token, or it is another workspace's; 409 where another
            one has it.
        ApiError: where Intercom can't be asked.
    """
    workspace = known_workspace(services, workspace_id)
    region = changes.get("region", workspace.region)
    columns: dict[str, Any] = {"name": changes.get("name", workspace.name), "region": region}
    if "client_secret" in changes:
        columns |= _new_secret(services, workspace, changes["client_secret"])
    token = _token_to_try(services, workspace, changes)
    tried = _try_same(services, workspace, region, token) if token is not None else None
    if token is not None:
        columns |= _token(services, token)
    try:
        _change(services, workspace, columns, tried, actor)
    except IntegrityError as error:
        raise _connected_already() from error
    if tried is not None:
        services.bell.ring()


def known_workspace(services: Services, workspace_id: int) -> Row[Any]:
    """Raises: InvalidRequest 404."""
    with services.database.reading() as connection:
        workspace = workspaces.get(connection, workspace_id)
    if workspace is None:
        raise InvalidRequest("There is no such workspace.", status=404, cause=Cause.NOT_FOUND)
    return workspace


def _token_to_try(services: Services, workspace: Row[Any], changes: Mapping[str, str]) -> str | None:
    if "access_token" in changes:
        return changes["access_token"]
    if changes.get("region", workspace.region) != workspace.region and workspace.token is not None:
        return services.vault.open(workspace.token)
    return None


def _try_same(services: Services, workspace: Row[Any], region: str, token: str) -> _Tried:
    tried = _try(services, region, token)
    if tried.identity.app_id != workspace.app_id:
        detail = f"This token is of another workspace ({tried.identity.app_id}). Connect that one by itself."
        raise InvalidRequest(detail, errors=(FieldError("/access_token", Cause.INVALID_REQUEST, detail),))
    return tried


def _change(
    services: Services, workspace: Row[Any], columns: dict[str, Any], tried: _Tried | None, actor: str
) -> None:
    now = services.now()
    with services.database.writing() as connection:
        workspaces.change(connection, workspace.id, **columns)
        if tried is not None:
            keep_survey(connection, workspace, tried.found, now)
            release(connection, f"workspace:{workspace.id}", now)
        kept = workspaces.get(connection, workspace.id)
        assert kept is not None  # noqa: S101 - nobody removes it
        _record(connection, now, actor, Change.WORKSPACE_CHANGED, workspace, kept)


def disconnect_workspace(services: Services, workspace_id: int, actor: str) -> None:
    """Forget the token. All else stays, the client secret too: webhooks are still verified and kept.

    Raises: InvalidRequest 404.
    """
    workspace = known_workspace(services, workspace_id)
    with services.database.writing() as connection:
        audit_log.record(
            connection,
            services.now(),
            actor,
            Change.WORKSPACE_DISCONNECTED,
            f"workspace:{workspace_id}",
            name=workspace.name,
            before={"state": workspace.state},
            after={"state": workspaces.DISCONNECTED},
        )
        workspaces.change(
            connection,
            workspace_id,
            state=workspaces.DISCONNECTED,
            state_cause=Cause.WORKSPACE_DISCONNECTED.value,
            state_since=services.now(),
            token=None,
            token_digest=None,
        )
