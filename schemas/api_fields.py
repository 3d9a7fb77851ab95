"""The fields that the API's bodies, queries and answers are made of."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from app.core.text import is_storable

LARGEST_ID = 2**63 - 1
LARGEST_COUNT = 2**31 - 1

_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


def id_from(text: str) -> int | None:
    """The number that an id stands for, ``None`` where it can be none."""
    number = int(text) if _ID.fullmatch(text) else 0
    return number if 0 < number <= LARGEST_ID else None


class Id(fields.String):
    """A number in the database, a string in JSON."""

    def __init__(self, **more: Any) -> None:
        metadata = {"pattern": "^[1-9][0-9]*$", "examples": ["1"], **more.pop("metadata", {})}
        super().__init__(metadata=metadata, **more)

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else str(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        number = id_from(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
        if number is None:
            raise ValidationError("This is no id. Ids are whole numbers, written as text.")
        return number


class ReferralFactoryId(fields.Field[str]):
    """An id of Referral Factory's: a number where it is one, as they write it; kept as text."""

    def __init__(self, **more: Any) -> None:
        metadata = {"type": ["integer", "string"], "examples": [123], **more.pop("metadata", {})}
        super().__init__(metadata=metadata, **more)

    def _serialize(self, value: str | None, *_: Any, **__: Any) -> int | str | None:
        if value is None:
            return None
        number = id_from(value)
        return value if number is None else number

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not 0 < len(text) <= 100 or not is_storable(text):
            raise ValidationError("This is no id of Referral Factory.")
        return text


class Text(fields.String):
    """Trimmed text that is not blank."""

    def __init__(self, *, most: int = 255, **more: Any) -> None:
        rules = [validate.Length(max=most, error="This is too long: at most {max} characters.")]
        super().__init__(validate=[*rules, *more.pop("validate", [])], **more)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError("This must be text.")
        text = value.strip()
        if not text:
            raise ValidationError("This must not be blank.")
        if not is_storable(text):
            raise ValidationError("This has characters that can't be kept.")
        return text


class Secret(Text):
    """A token or secret: taken, never shown. It travels in headers, so it is plain text without spaces."""

    def __init__(self, **more: Any) -> None:
        metadata = {"format": "password", **more.pop("metadata", {})}
        super().__init__(most=2000, load_only=True, metadata=metadata, **more)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        text = super()._deserialize(value)
        if not re.fullmatch(r"[!-~]+", text):
            raise ValidationError("This must be plain letters, digits and signs, without spaces.")
        return text


class Choice(fields.String):
    """One word of a closed set."""

    def __init__(self, *words: str, **more: Any) -> None:
        complaint = f"This must be one of: {', '.join(words)}."
        super().__init__(
            validate=validate.OneOf([str(word) for word in words], error=complaint),
            error_messages={"invalid": complaint},
            **more,
        )


class Flag(fields.Boolean):
    """True or false, in JSON's own words."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("This must be true or false.")
        return value


class Whole(fields.Integer):
    """A whole number within bounds."""

    def __init__(self, least: int = 0, most: int = LARGEST_COUNT, **more: Any) -> None:
        self._complaint = f"This must be a whole number from {least} to {most}."
        super().__init__(validate=validate.Range(min=least, max=most, error=self._complaint), **more)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError(self._complaint)
        return value


class Moment(fields.DateTime):
    """RFC 3339; answers are in UTC and end in Z."""

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        if value is None:
            return None
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        # In an address a plus stands for a space: +01:00 arrives as " 01:00".
        text = re.sub(r" (?=\d{2}:\d{2}$)", "+", value.strip()) if isinstance(value, str) else ""
        try:
            if not _MOMENT.fullmatch(text):
                raise ValueError(text)
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError("This must be a time such as 2026-11-30T12:00:00Z.") from None


class Email(Text):
    """An address to look for, in the form in which people are kept."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return str(super()._deserialize(value)).lower()


class Words(Schema):
    """The root of all bodies and answers, with complaints in plain words."""

    error_messages = {  # noqa: RUF012 - marshmallow declares it as an attribute of instances
        "unknown": "There is no such field.",
        "type": "This must be an object with names and values.",
    }

    def on_bind_field(self, _name: str, field_obj: fields.Field[Any]) -> None:
        for key, complaint in _PLAIN.items():
            field_obj.error_messages[key] = complaint


_PLAIN = {
    "required": "This is missing.",
    "null": "This must not be null.",
    "validator_failed": "This value can't be used.",
    "type": "This must be an object with names and values.",
}


class Answer(Words):
    """What the API says: every field is always there."""

    def on_bind_field(self, _name: str, field_obj: fields.Field[Any]) -> None:
        field_obj.required = True


class PageLimit(Whole):
    """A whole number in an address, where everything is text."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        plain = isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII)
        return super()._deserialize(int(value) if plain else None)


class PageQuery(Words):
    limit = PageLimit(1, 200, load_default=50)
    cursor = Text(most=2000, metadata={"description": "`next_cursor` of the page before."})


def page_of(item: type[Schema], name: str) -> type[Schema]:
    """The answer of a list."""
    return Answer.from_dict(
        {"items": fields.List(fields.Nested(item)), "next_cursor": fields.String(allow_none=True)}, name=name
    )
