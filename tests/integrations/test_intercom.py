"""What the Intercom client sends, and how it reads answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from app.core.audiences import AttributeType
from app.core.errors import ApiError, Rejected, Unavailable
from app.core.people import Contact, ContactDraft, Role
from app.integrations.budget import Unlimited
from app.integrations.http import Answer, Http
from app.integrations.intercom import (
    API_VERSION,
    HOSTS,
    Conflict,
    Gone,
    GoneKind,
    IntercomClient,
    NotRestorable,
    conflict_of,
    gone_of,
    named_paths,
    next_cursor,
)

from .conftest import Canned

pytestmark = pytest.mark.enable_socket

ANN = {"type": "contact", "id": "c1", "role": "user", "email": "ann@example.com"}


def error_list(message: str, code: str = "conflict") -> dict[str, Any]:
    return {"type": "error.list", "request_id": None, "errors": [{"code": code, "message": message}]}


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[IntercomClient]:
    with Http() as http:
        yield IntercomClient(httpserver.url_for(""), "token", http, Unlimited())


CALLS: list[Callable[[IntercomClient], object]] = [
    lambda client: client.me(),
    lambda client: client.search_email("a@b.c"),
    lambda client: client.contact("c1"),
    lambda client: client.create(ContactDraft({}, Role.LEAD)),
    lambda client: client.update("c1", ContactDraft({})),
    lambda client: client.unarchive("c1"),
    lambda client: client.attributes(),
    lambda client: client.create_attribute("x", AttributeType.TEXT),
    lambda client: client.segments(),
    lambda client: client.probe_contacts(),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_pins_the_version(
    client: IntercomClient, canned: Canned, call: Callable[[IntercomClient], object]
) -> None:
    canned.add(error_list("later", "server_error"), 502)
    with pytest.raises(ApiError):
        call(client)
    request, _ = canned.requests[0]
    assert request.headers["Intercom-Version"] == API_VERSION == "2.16"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Authorization"] == "Bearer token"
    if request.data:
        assert request.headers["Content-Type"] == "application/json"


def test_a_search_by_address_is_one_call_without_role_or_cursor(client: IntercomClient, canned: Canned) -> None:
    canned.add({"data": [ANN, {**ANN, "id": "c2", "email": "other@example.com"}], "total_count": 0})
    assert [contact.id for contact in client.search_email(" Ann@Example.com ")] == ["c1"]
    ((request, body),) = canned.requests
    assert request.path == "/contacts/search"
    assert body == {
        "query": {"field": "email", "operator": "=", "value": "ann@example.com"},
        "pagination": {"per_page": 150},
    }


def test_a_cursor_goes_into_the_body(client: IntercomClient, canned: Canned) -> None:
    canned.add({"data": [ANN], "pages": {"next": {"page": 3, "starting_after": "n3"}}, "total_count": 301})
    page = client.search({"field": "role", "operator": "=", "value": "lead"}, "n2")
    assert (page.cursor, page.total) == ("n3", 301)
    assert canned.requests[0][1]["pagination"] == {"per_page": 150, "starting_after": "n2"}
    assert canned.requests[0][1]["sort"] == {"field": "updated_at", "order": "ascending"}


@pytest.mark.parametrize(
    "payload", [{}, [], {"data": None}, {"data": {}}, {"total_count": 0}, {"data": [{}]}, {"data": [None]}]
)
def test_a_search_without_its_list_is_never_none_found(
    client: IntercomClient, canned: Canned, payload: object
) -> None:
    canned.add(payload)
    with pytest.raises(Unavailable):
        client.search_email("ann@example.com")


@pytest.mark.parametrize("call", [CALLS[0], CALLS[2], CALLS[3], CALLS[4], CALLS[7]])
def test_a_200_that_is_something_else_is_no_answer(
    client: IntercomClient, canned: Canned, call: Callable[[IntercomClient], object]
) -> None:
    canned.add({"hello": "world"})
    with pytest.raises(Unavailable) as broken:
        call(client)
    assert broken.value.sent


@pytest.mark.parametrize(
    ("payload", "conflict"),
    [
        (error_list("A contact matching those details already exists with id=5da6f18e3d7cf967e4582d05"),
         ("5da6f18e3d7cf967e4582d05", False, False)),
        (error_list("An archived contact matching those details already exists with id=6064d5c43910cc082d903f6c"),
         ("6064d5c43910cc082d903f6c", True, False)),
        (error_list("Multiple existing users match this email address - must be more specific using user_id"),
         (None, False, True)),
        (error_list(""), (None, False, False)),
        (None, (None, False, False)),
    ],
)  # fmt: skip
def test_conflicts(payload: object, conflict: tuple[str | None, bool, bool]) -> None:
    found = conflict_of(Answer(409, {}, payload))
    assert (found.contact_id, found.archived, found.several) == conflict


def test_a_409_without_a_body_is_a_conflict(client: IntercomClient, canned: Canned) -> None:
    canned.add(None, 409)
    assert client.create(ContactDraft({"email": "a@b.c"}, Role.USER)) == Conflict()


@pytest.mark.parametrize(
    ("status", "headers", "payload", "gone"),
    [
        (404, {}, None, Gone()),
        (410, {"Link": '</contacts/c9>; rel="canonical"'}, None, Gone(GoneKind.MERGED, "c9")),
        (410, {"Link": "<https://api.intercom.io/contacts/c9>; rel=canonical"}, None, Gone(GoneKind.MERGED, "c9")),
        (410, {}, error_list("merged into id=c9", "contact_merged"), Gone(GoneKind.MERGED, "c9")),
        (410, {}, None, Gone(GoneKind.MERGED)),
    ],
)
def test_gone(status: int, headers: dict[str, str], payload: object, gone: Gone) -> None:
    assert gone_of(Answer(status, headers, payload)) == gone


def test_unarchiving_reads_the_contact_again(client: IntercomClient, canned: Canned) -> None:
    canned.add({"type": "contact", "id": "c1", "archived": False})
    canned.add(ANN)
    restored = client.unarchive("c1")
    assert isinstance(restored, Contact)
    assert restored.email == "ann@example.com"


@pytest.mark.parametrize("status", [400, 500])
def test_what_is_deleted_is_not_restorable(client: IntercomClient, canned: Canned, status: int) -> None:
    canned.add(
        error_list("User has been marked for permanent deletion and is not restorable.", "bad_request"), status
    )
    assert isinstance(client.unarchive("c1"), NotRestorable)


def test_other_failures_of_an_unarchive_are_errors(client: IntercomClient, canned: Canned) -> None:
    canned.add(error_list("oops", "server_error"), 500)
    canned.add(error_list("odd", "parameter_invalid"), 400)
    with pytest.raises(Unavailable):
        client.unarchive("c1")
    with pytest.raises(Rejected):
        client.unarchive("c1")


def test_a_refused_write_names_attributes_by_path(client: IntercomClient, canned: Canned) -> None:
    canned.add(error_list("Custom attribute 'Company name' does not exist", "parameter_invalid"), 400)
    with pytest.raises(Rejected) as refused:
        client.update("c1", ContactDraft({"custom_attributes.Company name": "x"}))
    assert refused.value.fields == ("custom_attributes.Company name",)


@pytest.mark.parametrize(
    ("message", "fields", "paths"),
    [
        ("Custom attribute 'a' does not exist", (), ("custom_attributes.a",)),
        ("Custom attribute 'it's' does not exist", (), ("custom_attributes.it's",)),
        ("custom attribute 'a' is bad. Custom attribute 'b'", ("phone",),
         ("custom_attributes.a", "custom_attributes.b", "phone")),
        ("odd", (), ()),
    ],
)  # fmt: skip
def test_named_paths(message: str, fields: tuple[str, ...], paths: tuple[str, ...]) -> None:
    assert named_paths(message, fields) == paths


def test_ids_are_quoted(client: IntercomClient, canned: Canned) -> None:
    canned.add(None, 404)
    client.contact("../me?x=1")
    assert canned.requests[0][0].environ["RAW_URI"] == "/contacts/..%2Fme%3Fx%3D1"


def test_attributes_of_companies_are_left_out(client: IntercomClient, canned: Canned) -> None:
    rows = [{"name": "a", "custom": True, "model": model} for model in ("contact", "company", None)]
    canned.add({"type": "list", "data": rows})
    assert len(client.attributes()) == 2
    assert dict(canned.requests[0][0].args) == {"model": "contact", "include_archived": "true"}


def test_a_list_is_made_with_its_options(client: IntercomClient, canned: Canned) -> None:
    canned.add({"name": "Tier", "full_name": "custom_attributes.Tier", "data_type": "string", "options": ["a", "b"]})
    assert client.create_attribute("Tier", AttributeType.LIST, ["a", "b"]).type is AttributeType.LIST
    assert canned.requests[0][1] == {
        "name": "Tier",
        "model": "contact",
        "data_type": "options",
        "options": [{"value": "a"}, {"value": "b"}],
    }


def test_all_pages_of_segments_are_read_and_a_circle_ends(client: IntercomClient, canned: Canned) -> None:
    for number, cursor in ((1, "x"), (2, "y"), (3, "x")):
        pages = {"next": {"starting_after": cursor}}
        canned.add({"segments": [{"id": number, "person_type": "user"}], "pages": pages})
    assert [segment.id for segment in client.segments()] == ["1", "2", "3"]
    assert canned.requests[1][0].args["starting_after"] == "x"


@pytest.mark.parametrize(
    ("payload", "cursor"),
    [
        ({"pages": {"next": {"starting_after": "a"}}}, "a"),
        ({"pages": {"next": "https://api.intercom.io/segments?per_page=50&starting_after=b"}}, "b"),
        ({"pages": {"next": None}}, None),
        ({"pages": {}}, None),
        ({"pages": None}, None),
        ([], None),
    ],
)
def test_cursors(payload: object, cursor: str | None) -> None:
    assert next_cursor(payload) == cursor


def test_each_region_has_its_host() -> None:
    assert HOSTS == {
        "us": "https://api.intercom.io",
        "eu": "https://api.eu.intercom.io",
        "au": "https://api.au.intercom.io",
    }
