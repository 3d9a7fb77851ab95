"""A workspace's attributes and segments are read whole and kept: by a button, on a timer, and when a write says
that an attribute is unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row

from app.core.access import Change
from app.core.attributes import attribute_at
from app.core.audiences import Attribute, AttributeType, Catalogue
from app.core.causes import Cause
from app.core.errors import FieldError, InvalidRequest, Rejected, Unauthorized
from app.core.people import CUSTOM
from app.integrations.intercom import Intercom
from app.storage import audit_log, circuits, workspaces
from app.storage.circuits import permission_circuit
from app.usecases.services import Services
from app.usecases.setups import intercom_of
from schemas.intercom import Segment

CONTACTS, ATTRIBUTES, SEGMENTS = "contacts_read", "attributes_read", "segments_read"
READ_PERMISSIONS = (CONTACTS, ATTRIBUTES, SEGMENTS)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a workspace lets us read; ``None`` for what the token may not. ``missing`` names the permissions."""

    attributes: Sequence[Attribute] | None
    segments: Sequence[Segment] | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many attributes and segments there are now."""

    attributes: int
    segments: int
    refreshed_at: datetime


def survey(intercom: Intercom) -> Survey:
    """One read each of contacts, attributes and segments, the latter two whole.

    Raises: ApiError, but for a missing permission, which is a finding.
    """
    contacts = intercom.probe_contacts()
    attributes, segments = _unless_refused(intercom.attributes), _unless_refused(intercom.segments)
    readable = (contacts, attributes is not None, segments is not None)
    missing = tuple(name for name, may in zip(READ_PERMISSIONS, readable, strict=True) if not may)
    return Survey(attributes, segments, missing)


def _unless_refused(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except Unauthorized:
        return None


def refresh_workspace(services: Services, workspace_id: int) -> Refreshed:
    """Read attributes and segments anew, and keep them.

    Raises:
        InvalidRequest: 404 for an unknown workspace, 409 for a disconnected one.
        ApiError: where Intercom stood in the way; Unauthorized where it refuses the token as a whole.
    """
    workspace = connected_workspace(services, workspace_id)
    intercom = intercom_of(services, workspace)
    found = survey(intercom)
    if len(found.missing) == len(READ_PERMISSIONS):
        intercom.me()
    now = services.now()
    with services.database.writing() as connection:
        kept = keep_survey(connection, workspace, found, now)
    return Refreshed(*kept, refreshed_at=now)


def keep_survey(connection: Connection, workspace: Row[Any], found: Survey, now: datetime) -> tuple[int, int]:
    """Keep what was read in place of what was there: how many attributes and segments there are now."""
    write_permissions = [name for name in workspace.missing_permissions if name not in READ_PERMISSIONS]
    # The row first: it makes a second refresh at the same time wait for this one.
    workspaces.change(
        connection, workspace.id, refreshed_at=now, missing_permissions=[*write_permissions, *found.missing]
    )
    if found.attributes is not None:
        workspaces.replace_attributes(connection, workspace.id, found.attributes)
    if found.segments is not None:
        workspaces.replace_segments(connection, workspace.id, [_columns(segment) for segment in found.segments])
    readable = [name for name in READ_PERMISSIONS if name not in found.missing]
    circuits.close(connection, [permission_circuit("intercom", workspace.id, name) for name in readable], now)
    return workspaces.counts(connection, workspace.id)


def _columns(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "name": segment.name,
        "person_type": segment.person_type.value,
        "count": segment.count,
    }


def refresh_attributes(services: Services, workspace_id: int) -> Catalogue:
    """Read the attributes alone anew; the catalogue as it is then.

    Raises: as ``refresh_workspace``.
    """
    found = intercom_of(services, connected_workspace(services, workspace_id)).attributes()
    with services.database.writing() as connection:
        workspaces.change(connection, workspace_id, refreshed_at=services.now())
        workspaces.replace_attributes(connection, workspace_id, found)
        return workspaces.catalogue(connection, workspace_id)


def create_attribute(
    services: Services, workspace_id: int, actor: str, *, name: str, type_: AttributeType, options: Sequence[str]
) -> Attribute:
    """Make an attribute in Intercom, and keep it.

    Raises:
        InvalidRequest: 404 and 409 as ``refresh_workspace``; 409 where there is one of that name; 422 for a
            Reference, for a list of fewer than two options, for options of another type, and for what Intercom
            refuses.
        ApiError: where Intercom stood in the way.
    """
    _check_attribute(type_, options)
    workspace = connected_workspace(services, workspace_id)
    with services.database.reading() as connection:
        catalogue = workspaces.catalogue(connection, workspace_id)
    _refuse_known(catalogue, name)
    try:
        made = intercom_of(services, workspace).create_attribute(name, type_, options)
    except Rejected as error:
        fault = FieldError("/name", Cause.VALUE_REFUSED_BY_INTERCOM, str(error))
        raise InvalidRequest(str(error), cause=Cause.VALUE_REFUSED_BY_INTERCOM, errors=(fault,)) from error
    with services.database.writing() as connection:
        after = {"type": type_.value, "options": list(options)}
        subject = f"workspace:{workspace_id}"
        audit_log.record(
            connection, services.now(), actor, Change.ATTRIBUTE_CREATED, subject, name=made.path, after=after
        )
    catalogue = refresh_attributes(services, workspace_id)
    # Should the list lag behind, what was answered is as good.
    return catalogue.get(made.path, made)


def _check_attribute(type_: AttributeType, options: Sequence[str]) -> None:
    if type_ is AttributeType.REFERENCE:
        detail = "References can't be made from here. Make it in Intercom's settings."
        raise _refusal("/type", Cause.UNSUPPORTED_ATTRIBUTE_TYPE, detail)
    if type_ is AttributeType.LIST and len(set(options)) < 2:
        raise _refusal("/options", Cause.INVALID_REQUEST, "A list needs at least two different options.")
    if type_ is not AttributeType.LIST and options:
        raise _refusal("/options", Cause.INVALID_REQUEST, "Only a list has options.")


def _refuse_known(catalogue: Catalogue, name: str) -> None:
    known = attribute_at(CUSTOM + name, catalogue)
    if known is not None:
        where = "archived in Intercom; bring it back there" if known.archived else "there already"
        raise InvalidRequest(
            f"An attribute named {name} is {where}.",
            status=409,
            cause=Cause.ALREADY_EXISTS,
            errors=(FieldError("/name", Cause.ALREADY_EXISTS, f"This name is {where}."),),
        )


def _refusal(pointer: str, cause: Cause, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, cause=cause, errors=(FieldError(pointer, cause, detail),))


def connected_workspace(services: Services, workspace_id: int) -> Row[Any]:
    """A workspace whose token we hold.

    Raises: InvalidRequest 404 for an unknown one, 409 for a disconnected one.
    """
    with services.database.reading() as connection:
        workspace = workspaces.get(connection, workspace_id)
    if workspace is None:
        raise InvalidRequest("There is no such workspace.", status=404, cause=Cause.NOT_FOUND)
    if workspace.token is None:
        raise InvalidRequest(
            "This workspace is disconnected. Give it a new access token first.",
            status=409,
            cause=Cause.WORKSPACE_DISCONNECTED,
        )
    return workspace
