"""What names somebody who is erased, and what only looks as if it did."""

from __future__ import annotations

import pytest

from app.core.erasure import Kind, Mark, Names, Who, redacted

ANNA = Names(
    workspaces=frozenset({1}),
    campaigns=frozenset({1}),
    emails=frozenset({"anna@example.com"}),
    ids=frozenset({(1, "7")}),
    contacts=frozenset({(1, "c0ffee12")}),
    links=frozenset({"https://ref.example/anna"}),
    people=frozenset({3}),
)


@pytest.mark.parametrize(
    ("text", "names_her"),
    [
        ("anna@example.com", True),
        ("Anna@Example.COM", True),
        ("I know <anna@example.com>.", True),
        ("mailto:anna@example.com, and others", True),
        ("https://example.com/?ref=anna@example.com&utm=1", True),
        ("johanna@example.com", False),
        ("j.anna@example.com", False),
        ("anna@example.com.au", False),
        ("anna@example.community", False),
        ("https://ref.example/anna", True),
        ("https://ref.example/anna?utm=1", True),
        ("https://ref.example/annabel", False),
        ("The contact c0ffee12 has the same email.", True),
        ("The contact c0ffee123 has the same email.", False),
        ("", False),
    ],
)
def test_a_text_names_somebody_by_a_whole_name_only(text: str, names_her: bool) -> None:
    assert ANNA.are_in(text) is names_her
    assert redacted({"said": [text]}, ANNA) == {"said": ["[erased]" if names_her else text]}


@pytest.mark.parametrize(
    ("who", "is_her"),
    [
        (Who(1, email=" Anna@example.com "), True),
        (Who(2, email="anna@example.com"), False),
        (Who(1, 1, referral_factory_id="7"), True),
        (Who(1, 2, referral_factory_id="7"), False),
        (Who(1, contact_id="c0ffee12"), True),
        (Who(1), False),
    ],
)
def test_somebody_is_the_same_by_any_name_where_it_counts(who: Who, is_her: bool) -> None:
    mark = Mark(b"key")
    assert ANNA.are(who) is is_her
    assert bool(who.digests(mark).keys() & ANNA.digests(mark).keys()) is is_her


def test_names_are_kept_and_read_again() -> None:
    assert Names.from_json(ANNA.to_json()) == ANNA


def test_a_digest_needs_the_key() -> None:
    assert Mark(b"one").of(Kind.EMAIL, 1, "a@b.co") != Mark(b"two").of(Kind.EMAIL, 1, "a@b.co")
    assert "key" not in repr(Mark(b"key"))
