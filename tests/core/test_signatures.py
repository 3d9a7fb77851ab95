import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.signatures import SignatureError, verify_intercom, verify_secret

BODY = b'{"type":"notification_event"}'


def signed(body: bytes, secret: str) -> str:
    return "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def test_the_bodys_own_signature_passes_with_the_current_and_with_the_former_secret():
    verify_intercom(BODY, signed(BODY, "new"), ["new", "old"])
    verify_intercom(BODY, signed(BODY, "old"), ["new", "old"])
    verify_intercom(BODY, signed(BODY, "new").encode(), ["new"])
    verify_intercom(BODY, signed(BODY, "new").upper(), ["new"])
    verify_intercom(BODY, signed(BODY, "schlüssel"), ["schlüssel"])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha1=",
        signed(BODY, "secret")[5:],
        signed(BODY, "secret")[:-1],
        signed(BODY, "secret") + "0",
        signed(BODY, "secret") + "\n",
        " " + signed(BODY, "secret"),
        signed(BODY, "secret").replace("sha1", "sha256"),
        signed(BODY, "another"),
        signed(BODY + b" ", "secret"),
        "sha1=" + "g" * 40,
        "sha1=" + "é" * 40,
        "sha1=" + "１" * 40,
        "sha1=" + "\ud800" * 40,
        b"sha1=\xff\xfe",
        "x" * 100_000,
    ],
)
def test_any_other_header_is_a_signature_error_and_nothing_else(header):
    with pytest.raises(SignatureError):
        verify_intercom(BODY, header, ["secret"])


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_an_empty_secret_proves_nothing_even_if_the_sender_knows_it_is_empty(secrets):
    with pytest.raises(SignatureError):
        verify_intercom(BODY, signed(BODY, ""), secrets)
    with pytest.raises(SignatureError):
        verify_secret("", secrets)


def test_a_shared_secret_passes_while_it_is_valid():
    verify_secret("new", ["new", "old"])
    verify_secret("old", ["new", "old"])
    verify_secret(b"new", ["new"])


@pytest.mark.parametrize("value", [None, "", b"", "New", "new ", "ne", "newer", "nëw", "\ud800", b"\xff"])
def test_another_secret_does_not(value):
    with pytest.raises(SignatureError):
        verify_secret(value, ["new"])


@settings(max_examples=40)
@given(st.one_of(st.none(), st.text(alphabet=st.characters()), st.binary()))
def test_no_header_whatever_raises_anything_else(header):
    with pytest.raises(SignatureError):
        verify_intercom(BODY, header, ["secret"])
    with pytest.raises(SignatureError):
        verify_secret(header, ["a secret that is not guessed"])
