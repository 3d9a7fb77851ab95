import pytest

from app.core.people import Person, is_blank, is_email, normalised_email


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.com",
        "ann+spring@example.com",
        "ann.lee@mail.shop.test",
        "ann@app.localhost",
        "o'brien@example.ie",
        "a@b.co",
        "ANN@EXAMPLE.COM",
        "jörg@exämple.de",
        "123@example.com",
        "a_b-c@xn--e1afmkfd.com",
    ],
)
def test_an_address_that_mail_could_reach_is_an_email(address):
    assert is_email(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "ann@localhost",
        "ann lee@example.com",
        "ann@exa mple.com",
        "ann@@example.com",
        "ann@b@example.com",
        "ann@example..com",
        "ann..lee@example.com",
        ".ann@example.com",
        "ann.@example.com",
        "ann@-example.com",
        "ann@example-.com",
        "ann@exa_mple.com",
        "ann@192.168.0.1",
        "ann@[192.168.0.1]",
        "Ann <ann@example.com>",
        "ann@example.com, bob@example.com",
        "ann@example.com\n",
        "ann\x00@example.com",
        "ann\x7f@example.com",
        "ann\u200b@example.com",
        "ann\ud800@example.com",
        "a" * 65 + "@example.com",
        "ann@" + ".".join(["b" * 60] * 4) + ".example.com",
        "ann@" + "b" * 64 + ".com",
        "é" * 40 + "@example.com",
        "a." * 5000 + "@",
        "ann@" + "b." * 5000,
    ],
)
def test_anything_else_is_not(text):
    assert not is_email(text)


def test_people_are_compared_by_trimmed_lower_case_email_with_plus_addresses_as_they_are():
    assert normalised_email("  Ann+Spring@Example.COM ") == "ann+spring@example.com"
    assert normalised_email(None) == ""


@pytest.mark.parametrize(("value", "blank"), [(None, True), ("", True), (" \t", True), (0, False), (False, False)])
def test_zero_and_false_are_values(value, blank):
    assert is_blank(value) is blank


def test_what_is_known_of_a_person_stays_when_more_is_learnt():
    person = Person(None, {"email": "ann@example.com", "code": None})
    completed = person.completed({"email": "other@example.com", "code": "X", "url": "https://r.test/a"})
    assert completed.values == {"email": "ann@example.com", "code": None, "url": "https://r.test/a"}
    assert person.unknown(["email", "code", "url"]) == {"url"}
