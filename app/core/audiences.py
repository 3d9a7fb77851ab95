"""What a marketer has set up for one audience of a campaign, and the attributes it is set up against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.core.people import Role, Scalar


class AttributeType(StrEnum):
    """Intercom's types under the names people see; on the wire a list is a string with options."""

    TEXT = "text"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    LIST = "list"
    DATE = "date"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One data attribute of a workspace. ``path`` is Intercom's full name: ``email``, ``custom_attributes.Plan``."""

    path: str
    name: str
    label: str
    type: AttributeType
    options: tuple[str, ...] = ()
    writable: bool = True
    archived: bool = False
    custom: bool = True
    multiline: bool = False


Catalogue = Mapping[str, Attribute]
"""A workspace's attributes by path, archived ones included."""


class Action(StrEnum):
    NOTHING = "nothing"
    CREATE_LEAD = "create_lead"
    CREATE_USER = "create_user"

    @property
    def role(self) -> Role:
        """The role a contact is created with; only for the two actions that create."""
        return {Action.CREATE_LEAD: Role.LEAD, Action.CREATE_USER: Role.USER}[self]


class Duplicates(StrEnum):
    SKIP = "skip"
    UPDATE = "update"
    FILL_BLANKS = "fill_blanks"


@dataclass(frozen=True, slots=True)
class Field:
    """A row's value comes from one field of the person."""

    name: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """A row's value is the same for everyone."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Join:
    """A row's value is several fields of the person with a space between."""

    names: tuple[str, ...]


Source = Field | Fixed | Join


@dataclass(frozen=True, slots=True)
class MappingRow:
    source: Source
    to: str


@dataclass(frozen=True, slots=True)
class QualificationRule:
    """Which attribute qualifies a lead; ``initial_value`` is ``None`` where any value may come first."""

    attribute: str
    initial_value: Scalar | None
    target_values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AudienceSettings:
    action: Action = Action.NOTHING
    mapping: tuple[MappingRow, ...] = ()
    duplicates: Duplicates = Duplicates.SKIP
    qualification: QualificationRule | None = None


@dataclass(frozen=True, slots=True)
class CampaignRules:
    """What a campaign allows in its mappings."""

    extended_types: bool = False
    crm_fields: tuple[str, ...] = ()
