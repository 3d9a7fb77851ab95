"""A sync's settings: as people write them, as they are kept, and as the core knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validate

from app.core.audiences import Field, MappingRow
from app.core.errors import FieldError
from app.core.mapping import WRITTEN_BACK
from app.core.syncs import CarriedRow, Contacts, SyncSettings
from schemas.api_faults import field_errors
from schemas.api_fields import Choice, Flag, Text, Words
from schemas.audiences import MOST_ROWS

ONCE, ONGOING = "once", "ongoing"
_LISTS = ("mapping", "write_back")
_TOO_MANY = validate.Length(max=MOST_ROWS, error="Too many rows.")


class CarriedRowSchema(Words):
    """From a contact's attribute to a field of the person."""

    class Meta:
        include: ClassVar[dict[str, Any]] = {
            "from": Text(required=True, metadata={"examples": ["name", "custom_attributes.Plan"]})
        }

    to = Text(required=True, metadata={"examples": ["first_name", "email", "meta.Company"]})

    @post_load
    def _row(self, data: Mapping[str, Any], **_: Any) -> CarriedRow:
        return CarriedRow(data["from"], data["to"])


class WrittenBackRowSchema(Words):
    """From what Referral Factory knows of the referrer to an attribute of the contact."""

    class Meta:
        include: ClassVar[dict[str, Any]] = {
            "from": Text(required=True, metadata={"description": f"One of {', '.join(sorted(WRITTEN_BACK))}."})
        }

    to = Text(required=True, metadata={"examples": ["custom_attributes.Referral Link"]})

    @post_load
    def _row(self, data: Mapping[str, Any], **_: Any) -> MappingRow:
        return MappingRow(Field(data["from"]), data["to"])


class SyncSettingsSchema(Words):
    """Which of Intercom's contacts become referrers, and what is carried both ways."""

    contacts = Choice(*Contacts, required=True)
    segment_id = Text(
        load_default=None, allow_none=True, metadata={"description": "With `contacts: segment`, and only then."}
    )
    mapping = fields.List(fields.Nested(CarriedRowSchema), load_default=list, validate=_TOO_MANY)
    write_back = fields.List(fields.Nested(WrittenBackRowSchema), load_default=list, validate=_TOO_MANY)
    schedule = Choice(ONCE, ONGOING, load_default=ONCE)
    notify = Flag(
        load_default=False, metadata={"description": "Whether Referral Factory sends its welcome mail to who is new."}
    )

    @post_load
    def _settings(self, data: Mapping[str, Any], **_: Any) -> SyncSettings:
        return SyncSettings(
            contacts=Contacts(data.get("contacts", Contacts.ALL)),
            segment_id=data.get("segment_id"),
            mapping=tuple(data.get("mapping", ())),
            write_back=tuple(data.get("write_back", ())),
            ongoing=data.get("schedule") == ONGOING,
            notify=data.get("notify", False),
        )


_SETTINGS = SyncSettingsSchema()


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings as somebody wrote them: what could be read of them, and what could not.

    ``places`` says for each row of ``mapping`` and of ``write_back`` which row of the body it was.
    """

    settings: SyncSettings
    errors: tuple[FieldError, ...]
    places: Mapping[str, tuple[int, ...]]

    def all_faults(self, found: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
        """What could not be read, and of what is wrong with the rest that which follows from nothing unread.
        ``found`` have pointers into ``settings``."""
        placed = (FieldError(self._placed(one.pointer), one.cause, one.detail) for one in found)
        return (*self.errors, *(one for one in placed if not self._hides(one.pointer)))

    def _placed(self, pointer: str) -> str:
        """Under the row's place in the body, from which unreadable rows were left out."""
        steps = pointer.split("/")
        if len(steps) > 2 and steps[1] in self.places:
            steps[2] = str(self.places[steps[1]][int(steps[2])])
        return "/".join(steps)

    def _hides(self, pointer: str) -> bool:
        """Whether the fault may well be none once the body can be read: a segment is asked for by ``contacts``."""
        unread = {error.pointer for error in self.errors}
        if pointer == "/segment_id" and "/contacts" in unread:
            return True
        return any(one == pointer or one.startswith(f"{pointer}/") for one in unread)


def read_sync(body: object) -> Reading:
    """Settings from a body of any form. Never raises: what is at fault is in ``errors``, the sound rest is read."""
    if not isinstance(body, dict):
        errors = field_errors(Words.error_messages["type"])
        return Reading(SyncSettings(Contacts.ALL), errors, dict.fromkeys(_LISTS, ()))
    try:
        settings: SyncSettings = _SETTINGS.load(body)
    except ValidationError as error:
        sound, places = _sound(body, error.messages_dict)
        return Reading(_SETTINGS.load(sound, partial=True), field_errors(error.messages_dict), places)
    return Reading(settings, (), {name: tuple(range(len(getattr(settings, name)))) for name in _LISTS})


def _sound(
    given: Mapping[str, Any], faults: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, tuple[int, ...]]]:
    """What of the body has no fault in it, with the places of its rows."""
    sound = {name: value for name, value in given.items() if name not in faults}
    places: dict[str, tuple[int, ...]] = {}
    for name in _LISTS:
        rows, faulty = given.get(name), faults.get(name, {})
        if not isinstance(rows, list) or not isinstance(faulty, dict):
            places[name] = ()
            continue
        places[name] = tuple(place for place in range(len(rows)) if place not in faulty)
        sound[name] = [rows[place] for place in places[name]]
    return sound, places


def sync_settings_from(document: Mapping[str, Any]) -> SyncSettings:
    """Settings as they were kept.

    Raises: marshmallow.ValidationError for what ``document_from_sync`` has not written.
    """
    settings: SyncSettings = _SETTINGS.load(document)
    return settings


def document_from_sync(settings: SyncSettings) -> dict[str, Any]:
    """Settings in their wire form, in which they are kept too."""
    return {
        "contacts": settings.contacts.value,
        "segment_id": settings.segment_id,
        "mapping": [{"from": row.source, "to": row.to} for row in settings.mapping],
        "write_back": [
            {"from": row.source.name, "to": row.to} for row in settings.write_back if isinstance(row.source, Field)
        ],
        "schedule": ONGOING if settings.ongoing else ONCE,
        "notify": settings.notify,
    }
