"""Referral Factory: what is asked of a program, and the client that asks.

Paths and bodies: https://developers.referral-factory.com/ (v2). Answers are wrapped in ``data``; lists have
``links.next``, which is followed as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from app.core.errors import NotUnderstood, Vendor
from app.core.people import Person, Scalar, normalised_email
from app.integrations.budget import Budget
from app.integrations.http import LIMITS, Answer, Http, Limits, Line, Observe, unobserved
from schemas.referral_factory import CAMPAIGN_ID, Campaign, campaign_from, person_from

WINDOW_SECONDS: Final = 60.0
"""Calls are counted by the minute; who exceeds the limit three times has the address blocked for days."""

MOST_PER_PAGE: Final = 250
MOST_SEARCH_PAGES: Final = 40

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Someone to enrol. ``meta`` is the campaign's fields by label; ``referrer_code`` makes a lead, else a referrer.

    ``notify`` sends the welcome mail."""

    campaign_id: str
    first_name: str
    email: str
    meta: Mapping[str, Scalar]
    notify: bool = False
    referrer_code: str | None = None


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """People of all campaigns of the program, one page; ``cursor`` asks for the next, ``None`` after the last."""

    people: tuple[Person, ...]
    cursor: str | None = None


class ReferralFactory(Protocol):
    """What the product asks of a program. Every call may raise ``Unavailable``, ``RateLimited``, ``Unauthorized``
    and ``Rejected``. A person's campaign is the value ``campaign_id``."""

    def campaigns(self, *, counts: bool = False) -> list[Campaign]:
        """All campaigns."""

    def campaign(self, campaign_id: str) -> Campaign | None:
        """One campaign by id or code."""

    def user(self, identifier: str, *, counts: bool = False) -> Person | None:
        """One person by id or code. With ``counts``, their referrals too."""

    def find_by_email(self, campaign_id: str, email: str) -> list[Person]:
        """Who has this address in the campaign: none, one, or a lead and a referrer."""

    def users(self, cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
        """One page of everybody; without a cursor the first."""

    def create_user(self, enrolment: Enrolment) -> Person:
        """Enrol someone. An address already in the campaign is ``Rejected`` with 422."""

    def update_user(
        self,
        user_id: str,
        *,
        first_name: str | None = None,
        email: str | None = None,
        meta: Mapping[str, Scalar] | None = None,
    ) -> bool:
        """Change what is given, by id. False where there is no such person."""

    def qualify(self, *, user_id: str | None = None, code: str | None = None, qualified: bool = True) -> bool:
        """Qualify a lead, or take it back. False where there is no such person."""


class ReferralFactoryClient:
    """``ReferralFactory`` over HTTP, for one program's token. Threads may share it."""

    def __init__(
        self,
        base_url: str,
        token: str,
        http: Http,
        budget: Budget,
        observe: Observe = unobserved,
        *,
        bulk: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "Referloop"}
        self._line = Line(
            Vendor.REFERRAL_FACTORY,
            base_url,
            token,
            http,
            budget,
            observe,
            headers,
            limits,
            fallback_wait=60.0,
            bulk=bulk,
        )

    def campaigns(self, *, counts: bool = False) -> list[Campaign]:
        """Raises ``Unavailable`` where a page's link leads back to a page that was read."""
        params = {"per_page": str(MOST_PER_PAGE), **({"with": "campaign.analytics"} if counts else {})}
        answer = self._line.call("campaigns", "GET", "/campaigns", params=params)
        found, seen = self._all(campaign_from, answer), set[str]()
        while link := self._next(answer):
            if link in seen:
                raise self._line.broken("leads from page to page in a circle", answer)
            seen.add(link)
            answer = self._line.call("campaigns", "GET", link)
            found += self._all(campaign_from, answer)
        return found

    def campaign(self, campaign_id: str) -> Campaign | None:
        answer = self._line.call("campaign", "GET", f"/campaigns/{quote(campaign_id, safe='')}", expected=(404,))
        return None if answer.status == 404 else self._one(campaign_from, answer)

    def user(self, identifier: str, *, counts: bool = False) -> Person | None:
        path = f"/users/{quote(identifier, safe='')}"
        answer = self._line.call("user", "GET", path, params=_with_counts(counts), expected=(404,))
        return None if answer.status == 404 else self._one(person_from, answer)

    def find_by_email(self, campaign_id: str, email: str) -> list[Person]:
        """The server has been seen to ignore filters and list everybody, so its rows are filtered here again.

        Where none fits and others came, the filter was ignored: then the following pages are read too, up to 40, and
        ``Unavailable`` is raised rather than "none" where that is not the end.
        """
        answer = self._line.call("find_by_email", "POST", "/users/search", body=_email_search(campaign_id, email))
        for _ in range(MOST_SEARCH_PAGES):
            people = self._all(person_from, answer)
            found = [person for person in people if _is(person, campaign_id, email)]
            link = self._next(answer)
            if found or not people or link is None:
                return found
            answer = self._line.call("find_by_email", "POST", link, body=_email_search(campaign_id, email))
        raise self._line.broken("ignores the search by address", answer)

    def users(self, cursor: str | None = None, *, counts: bool = False) -> PeoplePage:
        """There is no filter by campaign or time that works, so the caller filters."""
        params = None if cursor else {"per_page": str(MOST_PER_PAGE), **_with_counts(counts)}
        answer = self._line.call("users", "GET", cursor or "/users", params=params)
        return PeoplePage(tuple(self._all(person_from, answer)), self._next(answer))

    def create_user(self, enrolment: Enrolment) -> Person:
        """201 with the person. ``notify`` is always said: whether silence sends the mail, the sources differ."""
        answer = self._line.call("create_user", "POST", "/users", body=_enrolment_body(enrolment))
        return self._one(person_from, answer)

    def update_user(
        self,
        user_id: str,
        *,
        first_name: str | None = None,
        email: str | None = None,
        meta: Mapping[str, Scalar] | None = None,
    ) -> bool:
        named = {"first_name": first_name, "email": email, "meta": _meta(meta) if meta else None}
        body = {name: value for name, value in named.items() if value is not None}
        path = f"/users/{quote(user_id, safe='')}"
        return self._line.call("update_user", "PUT", path, body=body, expected=(404,), empty_ok=True).status != 404

    def qualify(self, *, user_id: str | None = None, code: str | None = None, qualified: bool = True) -> bool:
        """By one of the two, the id first. Raises ``ValueError`` without any.

        A 200 confirms the change whatever its body
        (https://referral-factory.com/help/articles/referral-factory-api-qualifying-leads-via-api).
        """
        if user_id is None and code is None:
            raise ValueError("who is to be qualified needs an id or a code")
        whom = {"id": _number(user_id)} if user_id is not None else {"code": code}
        body = {**whom, "qualified": qualified}
        answer = self._line.call("qualify", "PUT", "/users/qualification", body=body, expected=(404,), empty_ok=True)
        return answer.status != 404

    def _one(self, read: Callable[[object], T], answer: Answer) -> T:
        payload = answer.payload
        inside = payload.get("data", payload) if isinstance(payload, dict) else payload
        return self._read(read, inside, answer)

    def _all(self, read: Callable[[object], T], answer: Answer) -> list[T]:
        """The rows of a list. An answer that has none is broken, not empty."""
        payload = answer.payload
        rows = payload.get("data") if isinstance(payload, dict) else payload
        if not isinstance(rows, list):
            raise self._line.broken("answered without the list that was asked for", answer)
        return [self._read(read, row, answer) for row in rows]

    def _read(self, read: Callable[[object], T], payload: object, answer: Answer) -> T:
        try:
            return read(payload)
        except NotUnderstood as error:
            raise self._line.broken(f"answered in a form we do not know ({error})", answer) from error

    def _next(self, answer: Answer) -> str | None:
        """``links.next``, opaque. One that leaves the host keeps its query only: the token stays with its vendor, and
        whoever stands between (``REFERRAL_FACTORY_API_URL``) stays there."""
        links = answer.payload.get("links") if isinstance(answer.payload, dict) else None
        link = links.get("next") if isinstance(links, dict) else None
        if not isinstance(link, str) or not link:
            return None
        base, there = urlsplit(self._line.base_url), urlsplit(link)
        if (base.scheme, base.netloc) == (there.scheme, there.netloc):
            return link
        path = there.path[there.path.rfind("/") :] if "/search" not in there.path else "/users/search"
        return f"{path}?{there.query}"


def _is(person: Person, campaign_id: str, email: str) -> bool:
    """Whether a row is what was searched for; one that does not name its campaign is believed."""
    campaign = person.text(CAMPAIGN_ID)
    return campaign in (None, campaign_id) and normalised_email(person.email) == normalised_email(email)


def _email_search(campaign_id: str, email: str) -> dict[str, object]:
    """The filter form seen in production; operators beyond ``=`` and ``AND`` are not documented."""
    filters = [
        {"field": "email", "operator": "=", "value": normalised_email(email)},
        {"field": "campaign_id", "operator": "=", "value": campaign_id},
    ]
    return {"filters": {"operator": "AND", "value": filters}}


def _enrolment_body(enrolment: Enrolment) -> dict[str, object]:
    body: dict[str, object] = {
        "campaign_id": _number(enrolment.campaign_id),
        "first_name": enrolment.first_name,
        "email": enrolment.email,
        "notify": enrolment.notify,
    }
    if enrolment.meta:
        body["meta"] = _meta(enrolment.meta)
    if enrolment.referrer_code is not None:
        body["referrer"] = {"field": "code", "value": enrolment.referrer_code}
    return body


def _meta(values: Mapping[str, Scalar]) -> list[dict[str, Scalar]]:
    return [{"field": label, "value": value} for label, value in values.items()]


def _with_counts(counts: bool) -> dict[str, str]:
    return {"with": "user.analytics"} if counts else {}


def _number(text: str) -> int | str:
    """Ids are integers on the wire, text here."""
    return int(text) if text.isdecimal() else text
