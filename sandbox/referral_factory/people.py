"""What can be done to a person at Referral Factory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.referral_factory.state import LEAD, REFERRER, Account, Campaign, Factory, Person, date

if TYPE_CHECKING:
    from sandbox.settings import Settings

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
SOURCES = ("Direct", "Referred", "Api", "Added", "Zapier", "Widget", "Popup", "Embed", "Test")


class Refused(Exception):
    """An answer other than 200 or 201. `errors` are messages by field."""

    def __init__(self, status: int, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


def invalid(**errors: str) -> Refused:
    """422, with a message for each field that is wrong."""
    return Refused(422, "Validation errors in your request", errors)


@dataclass
class Joined:
    """Somebody new, and in which campaign."""

    account: Account
    campaign: Campaign
    person: Person


def create(factory: Factory, account: Account, now: float, body: dict[str, Any], source: str) -> Joined:
    """Add a referrer, or with a referrer named, a lead."""
    campaign = _campaign(account, body)
    first_name, email = _required(body, "first_name"), _email(body)
    referrer = _referrer(account, campaign, body["referrer"]) if body.get("referrer") else None
    kind = LEAD if referrer else REFERRER
    if any(person["type"] == kind for person in account.by_email(campaign["id"], email)):
        raise invalid(email="The email has already been taken.")
    person = {
        "id": factory.next_person,
        "campaign_id": campaign["id"],
        "referrer_id": referrer["id"] if referrer else None,
        "first_name": first_name,
        "email": email,
        "code": factory.new_code(),
        "reach": 0,
        "source": source,
        "type": kind,
        "signed_up_at": date(now),
        "qualified_at": None,
        "unsubscribed_at": None,
        "meta": _meta(campaign, kind, body.get("meta")),
        "notified": bool(body.get("notify", False)),
    }
    factory.next_person += 1
    account.store(person)
    return Joined(account, campaign, person)


def _required(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value.strip():
        raise invalid(**{key: f"The {key.replace('_', ' ')} field is required."})
    return value.strip()


def _email(body: dict[str, Any]) -> str:
    email = _required(body, "email")
    if not EMAIL.fullmatch(email):
        raise invalid(email="The email must be a valid email address.")
    return email


def _campaign(account: Account, body: dict[str, Any]) -> Campaign:
    given = body.get("campaign_id")
    if given in (None, ""):
        raise invalid(campaign_id="The campaign id field is required.")
    number = int(given) if str(given).isdigit() else -1
    if number not in account.campaigns:
        raise invalid(campaign_id="The selected campaign id is invalid.")
    return account.campaigns[number]


def _referrer(account: Account, campaign: Campaign, given: Any) -> Person:
    wanted = given if isinstance(given, dict) else {}
    found: Person | None = None
    value = str(wanted.get("value", ""))
    if wanted.get("field") == "code":
        found = account.by_code(value)
    elif wanted.get("field") == "id" and value.isdigit():
        found = account.people.get(int(value))
    elif wanted.get("field") == "email":
        same = account.by_email(campaign["id"], value)
        found = next((person for person in same if person["type"] == REFERRER), None)
    if found is None or found["campaign_id"] != campaign["id"] or found["type"] != REFERRER:
        raise invalid(referrer="The selected referrer is invalid.")
    return found


def _meta(campaign: Campaign, kind: str, given: Any) -> list[dict[str, Any]]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise invalid(meta="The meta must be an array.")
    labels = {each["label"] for each in campaign["fields"][kind]}
    kept = []
    for row in given:
        label = row.get("field") if isinstance(row, dict) else None
        if label not in labels:
            raise invalid(meta=f"The campaign has no field {label}.")
        kept.append({"field": label, "value": row.get("value")})
    return kept


def find(account: Account, settings: Settings, identifier: str) -> Person:
    """One person by id or code; by email only where the switch says so."""
    person = account.people.get(int(identifier)) if identifier.isdigit() else account.by_code(identifier)
    if person is None and settings.referral_factory_get_by_email and "@" in identifier:
        same = [each for number in account.campaigns for each in account.by_email(number, identifier)]
        person = min(same, key=lambda each: each["id"]) if same else None
    if person is None:
        raise Refused(404, "Not found")
    return person


def update(account: Account, person: Person, body: dict[str, Any]) -> Person:
    """PUT /users/{id}. The link and the history stay."""
    after = dict(person)
    if "first_name" in body:
        after["first_name"] = _required(body, "first_name")
    if "email" in body:
        after["email"] = _email(body)
        same = account.by_email(person["campaign_id"], after["email"])
        if any(each["type"] == person["type"] and each["id"] != person["id"] for each in same):
            raise invalid(email="The email has already been taken.")
    if "meta" in body:
        meta = {row["field"]: row["value"] for row in person["meta"]}
        campaign = account.campaigns[person["campaign_id"]]
        meta.update({row["field"]: row["value"] for row in _meta(campaign, person["type"], body["meta"])})
        after["meta"] = [{"field": label, "value": value} for label, value in meta.items()]
    account.store(after)
    return after


def qualify(
    account: Account, settings: Settings, now: float, person: Person, body: dict[str, Any]
) -> tuple[Person, bool]:
    """PUT /users/qualification: the person, and whether this call changed them."""
    qualified = body.get("qualified")
    if qualified not in (True, False, 0, 1):
        raise invalid(qualified="The qualified field is required.")
    if person["type"] != LEAD:
        raise invalid(id="Only an invited person can be qualified.")
    if qualified and person["qualified_at"]:
        if settings.referral_factory_qualify_twice == "refuse":
            raise invalid(qualified="The user is qualified already.")
        return person, False
    after = {**person, "qualified_at": date(now) if qualified else None}
    account.store(after)
    return after, bool(qualified) != bool(person["qualified_at"])


def named(account: Account, settings: Settings, body: dict[str, Any]) -> Person:
    """Whom a call to qualify means: by id, else by code, else by email and campaign."""
    if body.get("id") not in (None, ""):
        person = account.people.get(int(body["id"])) if str(body["id"]).isdigit() else None
    elif body.get("code"):
        person = account.by_code(str(body["code"]))
    elif body.get("email"):
        same = account.by_email(_campaign(account, body)["id"], str(body["email"]))
        person = _chosen(settings, same)
    else:
        raise invalid(id="One of id, code or email is required.")
    if person is None:
        raise Refused(404, "Not found")
    return person


def _chosen(settings: Settings, same: list[Person]) -> Person | None:
    """Whom an email means that two people of a campaign have: not documented, so a switch."""
    if len(same) > 1 and settings.referral_factory_ambiguous_email == "refuse":
        raise invalid(email="The email matches several users.")
    if settings.referral_factory_ambiguous_email == "lead":
        same = sorted(same, key=lambda person: person["type"] != LEAD)
    return same[0] if same else None


def search(account: Account, filters: Any) -> list[Person]:
    """POST /users/search: equality only, by AND or OR."""
    people = [account.people[person_id] for person_id in account.order]
    if not filters:
        return people
    if not isinstance(filters, dict) or not isinstance(filters.get("value"), list):
        raise invalid(filters="The filters are invalid.")
    join = all if str(filters.get("operator", "AND")).upper() == "AND" else any
    rows = [_equal(row) for row in filters["value"]]
    narrowed = _narrowed(account, rows) if join is all else None
    return [
        person
        for person in (people if narrowed is None else narrowed)
        if join(_is(person, name, value) for name, value in rows)
    ]


def _equal(row: Any) -> tuple[str, str]:
    if not isinstance(row, dict) or row.get("operator", "=") != "=" or "field" not in row:
        raise invalid(filters="The filters are invalid.")
    if row["field"] not in ("id", "email", "code", "campaign_id", "referrer_id", "type", "first_name", "source"):
        raise invalid(filters=f"The field {row['field']} can't be filtered by.")
    return row["field"], str(row.get("value"))


def _narrowed(account: Account, rows: list[tuple[str, str]]) -> list[Person] | None:
    for name, value in rows:
        if name == "email":
            same = [each for number in account.campaigns for each in account.by_email(number, value)]
            return sorted(same, key=lambda person: person["id"])
        if name == "code":
            person = account.by_code(value)
            return [person] if person else []
    return None


def _is(person: Person, name: str, value: str) -> bool:
    if name == "email":
        return bool(person["email"].lower() == value.strip().lower())
    return str(person[name]) == value
