"""Does a contact become a referrer: what the mapping makes of it, and what is known of its email, to a decision.

=============================================  ====================================================
The contact                                    what follows
=============================================  ====================================================
has no value in a mapped attribute             ``Skip`` ``blank_mapped_value``, with the attribute
has an email that is none                      ``Skip`` ``invalid_email``
has the email of a referrer of the campaign    ``Existing``, linked and written back
has the email of another contact of this run   ``Existing``
otherwise                                      ``Enrol``, if there is room
=============================================  ====================================================

Who is in the campaign as a lead counts as new: Referral Factory may refuse it, and then they exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.core.attributes import as_text
from app.core.causes import Cause
from app.core.identity import value_digest
from app.core.people import META, Contact, Scalar, is_blank, is_email, normalised_email
from app.core.syncs import EMAIL, FIRST_NAME, CarriedRow, SyncSettings


@dataclass(frozen=True, slots=True)
class Values:
    """What is carried over: ``email`` as normalised, ``meta`` by label."""

    first_name: str
    email: str
    meta: Mapping[str, Scalar]

    @property
    def digest(self) -> str:
        """The same for the same values, in whatever order."""
        return value_digest(repr((self.first_name, self.email, sorted(self.meta.items()))))


@dataclass(frozen=True, slots=True)
class Enrol:
    """Make this contact a referrer."""

    values: Values


@dataclass(frozen=True, slots=True)
class Existing:
    """The email is in the campaign already, or was seen in this run; ``detail`` says how."""

    values: Values
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """Left out. ``detail`` names the attribute, by path."""

    cause: Cause
    detail: str | None = None


Decision = Enrol | Existing | Skip


def decide(
    contact: Contact, settings: SyncSettings, *, in_campaign: bool = False, same_email: str | None = None
) -> Decision:
    """``in_campaign``: a referrer of the campaign has the email. ``same_email``: the contact of this run that came
    with it before."""
    values = carried(contact, settings)
    if isinstance(values, Skip):
        return values
    if in_campaign:
        return Existing(values)
    if same_email is not None and same_email != contact.id:
        return Existing(values, f"The contact {same_email} has the same email.")
    return Enrol(values)


def carried(contact: Contact, settings: SyncSettings) -> Values | Skip:
    """What the mapping makes of a contact. Any blank that is mapped leaves it out, as Referral Factory has it."""
    found: dict[str, Scalar] = {}
    for row in settings.mapping:
        value = _value(contact, row)
        if value is None:
            return Skip(Cause.BLANK_MAPPED_VALUE, row.source)
        found[row.to] = value
    email = normalised_email(found.pop(EMAIL, None))
    if not is_email(email):
        return Skip(Cause.INVALID_EMAIL, EMAIL)
    first_name = as_text(found.pop(FIRST_NAME, "")) or ""
    meta = {to.removeprefix(META): value for to, value in found.items()}
    return Values(first_name, email, MappingProxyType(meta))


def _value(contact: Contact, row: CarriedRow) -> Scalar | None:
    """Trimmed; ``None`` for blanks and for what no text can carry. ``0`` and ``False`` are values."""
    value = contact.value(row.source)
    if is_blank(value) or not isinstance(value, str | int | float) or as_text(value) is None:
        return None
    return value.strip() if isinstance(value, str) else value
