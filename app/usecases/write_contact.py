"""A draft gets to Intercom: without exactly the values that it refuses, and with what it ignored named.

What became known on the way is noted as it happens, so that it is kept also where a later step fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app.core.audiences import CampaignRules, Catalogue
from app.core.causes import Cause
from app.core.errors import ApiError, InvalidRequest, Rejected
from app.core.identity import value_digest
from app.core.mapping import EMAIL, Drafted, FieldResult, compare, target_cause
from app.core.people import Contact, ContactDraft, Scalar
from app.core.refusals import Refusal, attempts, named_attribute
from app.integrations.intercom import Conflict, Gone, Intercom
from app.usecases.refresh_catalogue import refresh_attributes
from app.usecases.services import Services
from app.usecases.setups import Setup

REFUSALS_LAST = timedelta(minutes=15)

Make = Callable[[ContactDraft], Contact | Conflict | Refusal]
"""How a contact is made that is not there yet."""


@dataclass(slots=True)
class Notes:
    """What became known while a contact was written: as it stands now and each time it was seen, what Intercom
    refused, and by path what is to be said of a field."""

    contact: Contact | None = None
    seen: list[Contact] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)
    results: dict[str, FieldResult] = field(default_factory=dict)


class WentAwayError(Exception):
    """The contact was merged, archived or deleted between reading and writing."""


def without_refused(drafted: Drafted, setup: Setup) -> Drafted:
    """The draft without what Intercom refused lately."""
    refused = {
        path
        for path, value in drafted.values.items()
        if path != EMAIL and (path, value_digest(value)) in setup.refused
    }
    if not refused:
        return drafted
    return replace(
        drafted,
        values={path: value for path, value in drafted.values.items() if path not in refused},
        fields=tuple(
            FieldResult(one.to, cause=Cause.VALUE_REFUSED_BY_INTERCOM) if one.to in refused else one
            for one in drafted.fields
        ),
    )


def write_contact(
    services: Services, intercom: Intercom, setup: Setup, whole: ContactDraft, target: Contact | Make, notes: Notes
) -> Contact | Conflict | None:
    """Write a draft to a contact, or make one of it. ``None`` where not even the email passes.

    Raises: WentAwayError, ApiError.
    """
    driver = attempts(whole)
    try:
        to_write = next(driver)
        while True:
            if isinstance(target, Contact):
                written = _update_once(services, intercom, setup, target, to_write, notes)
            else:
                written = target(to_write)
            if isinstance(written, Conflict):
                return written
            if isinstance(written, Contact):
                target = notes.contact = written
                notes.seen.append(written)
                _note_ignored(notes, to_write, written, setup.catalogue)
            to_write = driver.send(written if isinstance(written, Refusal) else None)
    except StopIteration as end:
        for path in end.value.refused:
            _note_refused(services, setup, path, whole.values[path], Cause.VALUE_REFUSED_BY_INTERCOM, notes)
    return target if isinstance(target, Contact) else None


def _update_once(
    services: Services, intercom: Intercom, setup: Setup, contact: Contact, to_write: ContactDraft, notes: Notes
) -> Contact | Conflict | Refusal:
    try:
        updated = intercom.update(contact.id, to_write)
    except Rejected as error:
        return refusal(services, setup, to_write, error, notes)
    if isinstance(updated, Gone | Conflict):
        raise WentAwayError
    return updated


def refusal(services: Services, setup: Setup, to_write: ContactDraft, error: Rejected, notes: Notes) -> Refusal:
    """What a 400 or 422 names. One that says an attribute does not exist shows our catalogue to be out of date."""
    path = next((one for one in error.fields if one in to_write.values), None) or named_attribute(
        str(error), error.code, to_write.values.keys()
    )
    if path is not None and _DOES_NOT_EXIST.search(str(error)):
        cause = _cause_by_now(services, setup, path)
        _note_refused(services, setup, path, to_write.values[path], cause, notes)
    return Refusal(path)


def _cause_by_now(services: Services, setup: Setup, path: str) -> Cause:
    """Why the attribute can't be written, by the catalogue as Intercom has it now."""
    catalogue: Catalogue = {}
    with suppress(ApiError, InvalidRequest):  # the person matters more than the better word
        catalogue = refresh_attributes(services, setup.workspace.id)
    cause = target_cause(path, catalogue, CampaignRules(extended_types=True), trigger=None)
    return cause or Cause.ATTRIBUTE_UNKNOWN


_DOES_NOT_EXIST = re.compile(r"does(?: not|n't) exist", re.IGNORECASE)


def _note_refused(services: Services, setup: Setup, path: str, value: Scalar, cause: Cause, notes: Notes) -> None:
    """Name the field in the activity, and leave this value out for a while: a bad rule costs no storm of calls."""
    if path in notes.results:
        return
    notes.results[path] = FieldResult(path, cause=cause)
    if path != EMAIL:
        notes.refused.append(
            {
                "workspace_id": setup.workspace.id,
                "path": path,
                "value_digest": value_digest(value),
                "until": services.now() + REFUSALS_LAST,
            }
        )


def _note_ignored(notes: Notes, written: ContactDraft, reply: Contact, catalogue: Catalogue) -> None:
    """Compare the reply with what was sent: Intercom answers 200 for fields that it ignores."""
    for ignored in compare(written, reply, catalogue):
        notes.results[ignored.to] = FieldResult(ignored.to, cause=ignored.cause)


def fields_of(drafted: Drafted, notes: Notes) -> tuple[FieldResult, ...]:
    """One result a row, and one for the initial value where something is to be said of it."""
    rows = tuple(notes.results.get(one.to, one) if one.cause is None else one for one in drafted.fields)
    named = {one.to for one in rows}
    return rows + tuple(result for path, result in notes.results.items() if path not in named)
