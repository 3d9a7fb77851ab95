"""A workspace with an attribute of every kind, and short ways to write settings down."""

from app.core.audiences import (
    Action,
    Attribute,
    AttributeType,
    AudienceSettings,
    CampaignRules,
    Field,
    MappingRow,
    QualificationRule,
)
from app.core.people import Audience

LEADS, REFERRERS = Audience.LEADS, Audience.REFERRERS
PLAIN = CampaignRules()
EXTENDED = CampaignRules(extended_types=True)


def custom(name: str, type_: AttributeType = AttributeType.TEXT, **more) -> Attribute:
    return Attribute(f"custom_attributes.{name}", name, name, type_, **more)


ATTRIBUTES = (
    custom("Campaign"),
    custom("Company"),
    custom("Referrer Email"),
    custom("Link"),
    custom("Notes", multiline=True),
    custom("Seats", AttributeType.NUMBER),
    custom("Trial", AttributeType.BOOLEAN),
    custom("Plan", AttributeType.LIST, options=("Free", "Pro")),
    custom("Score", AttributeType.DECIMAL),
    custom("Since", AttributeType.DATE),
    custom("Order", AttributeType.REFERENCE),
    custom("Old", archived=True),
    custom("Locked", writable=False),
    custom("stage"),
    Attribute("role", "role", "Role", AttributeType.TEXT, custom=False),
    Attribute("created_at", "created_at", "Created", AttributeType.DATE, writable=False, custom=False),
)
CATALOGUE = {attribute.path: attribute for attribute in ATTRIBUTES}

TO_NAME = MappingRow(Field("first_name"), "name")
TO_EMAIL = MappingRow(Field("email"), "email")
ANN = {"first_name": "Ann", "email": "Ann@Example.com", "meta.Company": "Acme"}


def row(source, name: str) -> MappingRow:
    return MappingRow(Field(source) if isinstance(source, str) else source, f"custom_attributes.{name}")


def audience(*rows: MappingRow, action=Action.CREATE_LEAD, rule: QualificationRule | None = None) -> AudienceSettings:
    return AudienceSettings(action, (TO_NAME, TO_EMAIL, *rows), qualification=rule)


def rule(name: str, initial_value=None, targets=("pro",)) -> QualificationRule:
    return QualificationRule(name if name == "role" else f"custom_attributes.{name}", initial_value, tuple(targets))
