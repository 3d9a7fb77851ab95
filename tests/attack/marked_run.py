"""A process with the logs, metrics and error reports of a real one, to which marked secrets and people come.

    python -m tests.attack.marked_run sqlite:////path/of/an/empty.db

Logs go to stderr as they are. Printed is one JSON object: ``metrics``, ``answers`` (refusals, error pages)
and ``reports`` (what would have been sent to Sentry).
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any
from urllib.parse import quote

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from app.core.errors import Rejected, Vendor
from app.storage.database import Database
from app.usecases import process_event
from config.logging import set_up_logging, set_up_sentry
from tests.attack.target import FORM, JSON, Answer, Target, signed
from tests.product import SETTINGS
from tests.web.console.visitor import OWNER, PASSWORD
from tests.web.installation import TOKEN

MARK = "zWqX7"
"""In all that is nobody else's business."""

PERSON = f"{MARK}.person@example.com"
SECRET = f"{MARK}-secret-0123456789"
FORGED_LINE = '\r\n{{"event": "forged"}}\n\x1b[31mred\x1b[0m\u2028\u0085", "event": "forged", "x": "'
INJECTED = MARK + FORGED_LINE


class Reports(Transport):
    """Keeps what would have been sent."""

    def __init__(self) -> None:
        super().__init__({"dsn": "https://key@sentry.invalid/1"})
        self.kept: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.kept += [item.payload.json or item.payload.get_bytes().decode() for item in envelope.items]


class Bug(Exception):
    pass


def main(url: str) -> None:
    set_up_logging("DEBUG", "json", "web")
    set_up_sentry("https://key@sentry.invalid/1", "web")
    reports = Reports()
    sentry_sdk.get_client().transport = reports
    database = Database(url)
    target = Target(database)
    found = [*_webhooks(target), *_pages(target), *_calls(target)]
    _work(target)
    found += _bugs(target)
    # A redirect leads whoever asked on to what they asked for themselves.
    answers = [one.body.decode("utf-8", "replace") for one in found if not 300 <= one.status < 400]
    metrics = target.app.test_client().get("/metrics").text
    sentry_sdk.flush()
    target.close()
    database.close()
    print(json.dumps({"metrics": metrics, "answers": answers, "reports": reports.kept}))  # noqa: T201


def _person(**more: Any) -> bytes:
    said = {"id": 7, "email": PERSON, "first_name": INJECTED, "code": MARK, "referrer_email": PERSON, **more}
    return json.dumps(said).encode()


def _webhooks(target: Target) -> list[Answer]:
    """Signups that are taken, and those that are refused for every reason."""
    proof = {"X-Referloop-Secret": target.secret, "User-Agent": _header(INJECTED)}

    def to(door: str, body: bytes, **headers: str) -> Answer:
        sent = {"Content-Type": JSON, "Cookie": f"session={SECRET}"}
        return target.send(
            "logs", "POST", door, body, {**sent, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )

    assert target.send("logs", "POST", target.door, _person(), {**proof, "Content-Type": JSON}).status == 200
    about = json.dumps(
        {"app_id": "app1", "id": MARK, "topic": FORGED_LINE, "data": {"item": {"email": PERSON}}}
    ).encode()
    assert target.send("logs", "POST", "/webhooks/intercom", about, signed(about)).status == 200
    return [
        to(target.door, _person(), X_Referloop_Secret=SECRET),
        to(target.door, _person(), Authorization=f"Basic {SECRET}"),
        to(target.door, _person()[:-1], X_Referloop_Secret=target.secret),
        to(target.door, _person(), Content_Type=_header(INJECTED)),
        to(target.door, f"email={quote(PERSON)}".encode(), Content_Type=FORM, X_Referloop_Secret=SECRET),
        to(f"/webhooks/referral-factory/{SECRET}/joined", _person()),
        to(f"/webhooks/referral-factory/{quote(INJECTED)}/joined", _person()),
        to(f"{target.door}?email={quote(PERSON)}&token={SECRET}", _person()),
        to("/webhooks/intercom", about, X_Hub_Signature=f"sha1={SECRET}"),
        to("/webhooks/intercom", about.replace(b"app1", MARK.encode()), X_Hub_Signature=SECRET),
    ]


def _header(text: str) -> str:
    """What a server hands on of it: no line ends."""
    return re.sub(r"[\r\n]", " ", text).encode("utf-8").decode("latin-1")


def _pages(target: Target) -> list[Answer]:
    """Sign-ins that fail and one that doesn't, links that lead nowhere, pages that are not there."""
    client = target.app.test_client()
    page = client.get("/sign-in", base_url=target.base).text
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found
    for email, password in ((PERSON, SECRET), (OWNER, SECRET), (INJECTED, SECRET), (OWNER, PASSWORD)):
        form = {"email": email, "password": password, "csrf_token": found[1]}
        client.post("/sign-in", base_url=target.base, data=form, headers={"Referer": f"{target.base}/"})
    return [
        target.send("logs", method, path, b"", {"Cookie": f"session={SECRET}", "X-Forwarded-For": _header(INJECTED)})
        for method, path in (
            ("GET", f"/invitations/{SECRET}"),
            ("POST", f"/invitations/{SECRET}"),
            ("GET", f"/{SECRET}?email={PERSON}"),
            ("GET", f"/people?q={PERSON}"),
            ("GET", f"/{quote(INJECTED)}"),
            ("POST", "/teammates"),
            (_header(FORGED_LINE), "/sign-in"),
        )
    ]


def _calls(target: Target) -> list[Answer]:
    def call(method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        headers = {"Content-Type": JSON, "Authorization": f"Bearer {token or TOKEN}"}
        return target.send("logs", method, f"/api/v1{path}", json.dumps(body).encode(), headers)

    connecting = {"name": INJECTED, "region": "us", "access_token": SECRET, "client_secret": SECRET}
    target.api("PUT", f"/campaigns/{target.campaign['id']}/audiences/leads", _settings())
    return [
        call("GET", "/workspaces", token=SECRET),
        call("POST", "/workspaces", connecting),
        call("POST", "/workspaces", {**connecting, "region": SECRET}),
        call("POST", "/programs", {"name": INJECTED, "access_token": SECRET}),
        call("PATCH", f"/workspaces/{target.workspace['id']}", {"access_token": SECRET}),
        call("GET", f"/people?email={PERSON}&nonsense={SECRET}"),
        call("GET", f"/diagnosis?email={INJECTED.encode('unicode_escape').decode()}"),
        call("GET", f"/people/{SECRET}"),
    ]


def _settings() -> dict[str, Any]:
    """All that can be set up with the attributes there are."""
    return {"action": "create_lead", "mapping": SETTINGS["mapping"][:2], "duplicates": "skip"}


def _work(target: Target) -> None:
    """Taken, refused by the vendor with the person's name in its words, and broken by a bug that names them."""
    intercom = target.vendors.intercoms["us", "us-token"]
    named = f"Email {PERSON} with {SECRET} is not wanted: {INJECTED}"
    for number, error in enumerate(
        (None, Rejected(Vendor.INTERCOM, named, status=400), Bug(PERSON), KeyError(PERSON))
    ):
        for method in ("search", "create", "find") if error is not None else ():
            if hasattr(intercom, method):
                intercom.fail(method, error)
        body = _person(id=100 + number, email=f"{MARK}{number}@example.com")
        sent = {"Content-Type": JSON, "X-Referloop-Secret": target.secret}
        assert target.send("logs", "POST", target.door, body, sent).status == 200
        batch = process_event.claim(target.wired.services, "worker", 50)
        outcomes = [process_event.process(target.wired.services, event, batch) for event in batch.events]
        process_event.settle(target.wired.services, "worker", outcomes)


def _bugs(target: Target) -> list[Answer]:
    """Requests that a bug breaks, whose message names everybody, and whose cause does as well."""

    def breaks(*_: object, **__: object) -> None:
        try:
            raise KeyError(PERSON)
        except KeyError as error:
            raise Bug(f"{FORGED_LINE}{PERSON}{FORGED_LINE}") from error

    breaks.open_to_all = True  # type: ignore[attr-defined]
    for endpoint in ("webhooks.from_referral_factory", "console.sign_in.show_invitation", "health.ready"):
        assert endpoint in target.app.view_functions
        target.app.view_functions[endpoint] = breaks  # type: ignore[assignment]
    sent = {"Content-Type": JSON, "X-Referloop-Secret": SECRET, "Authorization": f"Bearer {TOKEN}",
            "Cookie": f"session={SECRET}", "User-Agent": MARK}  # fmt: skip
    return [
        target.send("logs", "POST", f"{target.door}?email={PERSON}", _person(), sent),
        target.send("logs", "GET", f"/invitations/{SECRET}?email={PERSON}", b"", sent),
        target.send("logs", "GET", f"/readyz?email={PERSON}&cursor={SECRET}", b"", sent),
    ]


if __name__ == "__main__":
    main(sys.argv[1])
