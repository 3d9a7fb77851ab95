"""What would become of a person, told without writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.core.causes import Cause
from app.core.duplicates import Create, Match, Skip, Unarchive, Update
from app.core.errors import FieldError, InvalidRequest, NotUnderstood
from app.core.identity import person_key
from app.core.mapping import Drafted, FieldResult, creation, setup_required, update
from app.core.people import Audience, Contact, ContactDraft, Person, Role
from app.storage import links, people, programs, workspaces
from app.usecases.complete_person import complete_person
from app.usecases.find_contact import Sending, find
from app.usecases.send_person import decision_about, draft_of
from app.usecases.services import Services
from app.usecases.setups import Setup, load_setups
from app.usecases.ways_out import WaysOut
from schemas.referral_factory import person_from_webhook


@dataclass(frozen=True, slots=True)
class Preview:
    """``decision`` is ``create``, ``update``, ``skip`` or ``nothing``; ``draft`` is what would be written."""

    decision: str
    cause: Cause | None = None
    detail: str | None = None
    contact: Contact | None = None
    draft: ContactDraft | None = None
    fields: tuple[FieldResult, ...] = ()


def preview_person(services: Services, campaign_id: int, audience: Audience, payload: Mapping[str, Any]) -> Preview:
    """``payload`` has the keys of a ``joined`` webhook.

    Raises:
        InvalidRequest: 404 for an unknown campaign, 422 for a person without email, id and code.
        ApiError: where a vendor can't be asked.
    """
    with services.database.reading() as connection:
        setup = load_setups(connection, [campaign_id], services.now()).get(campaign_id)
    if setup is None:
        raise InvalidRequest("There is no such campaign.", status=404, cause=Cause.NOT_FOUND)
    setup = replace(setup, open_circuits={})  # whoever asks wants to hear it from the vendor
    return foresee(services, setup, replace(_person(payload), audience=audience), audience)


def foresee(
    services: Services, setup: Setup, person: Person, audience: Audience, ways: WaysOut | None = None
) -> Preview:
    """What would become of a person of this audience. Raises: ApiError where a vendor can't be asked."""
    ways = ways or WaysOut(services, setup)
    missing = setup_required(setup.settings(audience))
    if setup.archived:
        return Preview("nothing", Cause.CAMPAIGN_ARCHIVED)
    if missing:
        return Preview("nothing", missing[0])
    if setup.program.state == programs.CONNECTED:
        person = complete_person(services, ways, setup, person)
    sending = _sending(services, setup, person, audience)
    drafted = draft_of(sending)
    if drafted.cause is not None:
        return Preview("skip", drafted.cause, fields=drafted.fields)
    if setup.workspace.state != workspaces.CONNECTED:
        cause = Cause(setup.workspace.state_cause or Cause.WORKSPACE_DISCONNECTED)
        return Preview("nothing", cause, draft=creation(drafted, sending.settings), fields=drafted.fields)
    return _decided(ways, sending, drafted)


def _person(payload: Mapping[str, Any]) -> Person:
    try:
        return person_from_webhook(payload)
    except NotUnderstood as error:
        fault = FieldError("/person", Cause.MISSING_REQUIRED_VALUE, str(error))
        raise InvalidRequest(str(error), cause=Cause.INVALID_REQUEST, errors=(fault,)) from error


def _sending(services: Services, setup: Setup, person: Person, audience: Audience) -> Sending:
    key = person_key(setup.workspace.id, person.email or "")
    with services.database.reading() as connection:
        link = links.links_of(connection, [key]).get(key)
        attempts = links.open_creations(connection, [key]).get(key, ())
        times = people.times(connection, [key]).get((key, setup.campaign_id, audience.value), (None, None))
    return Sending(setup, person, audience, key, None, services.now(), link, attempts, *times)


def _decided(ways: WaysOut, sending: Sending, drafted: Drafted) -> Preview:
    policy = sending.settings.duplicates
    found = find(ways.intercom(), sending)
    whole = creation(drafted, sending.settings)
    match decision_about(found, policy):
        case Create():
            return Preview("create", draft=whole, fields=drafted.fields)
        case Unarchive():
            return Preview("update", draft=whole, fields=drafted.fields)
        case Update(_, mode) if isinstance(found.match, Match):
            contact = found.match.contact
            written = update(drafted, contact, mode, sending.setup.catalogue)
            return Preview("update", contact=contact, draft=written, fields=drafted.fields)
        case Skip(cause, detail):
            contact_or_none = found.match.contact if isinstance(found.match, Match) else None
            return Preview("skip", cause, detail, contact_or_none, fields=drafted.fields)
    raise AssertionError(found)  # the four above are all there are


def role_of(preview: Preview) -> Role | None:
    """The role the contact has, or would be given."""
    if preview.contact is not None:
        return preview.contact.role
    return preview.draft.role if preview.draft is not None else None
