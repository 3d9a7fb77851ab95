"""Who sent a webhook: proofs over raw bytes. Each function returns nothing, or raises ``SignatureError``."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from app.core.errors import ReferloopError

_SHA1_HEADER = re.compile(r"sha1=([0-9a-f]{40})", re.ASCII)


class SignatureError(ReferloopError):
    """The proof is missing, malformed or wrong. The message never says which secret was tried."""


def verify_intercom(body: bytes, header: str | bytes | None, secrets: Sequence[str]) -> None:
    """Check ``X-Hub-Signature: sha1=<40 hex>``, the HMAC-SHA1 of the raw body with the app's client secret.

    The scheme is Intercom's (developers.intercom.com/docs/webhooks/webhook-notifications). ``secrets`` are the
    current one and those still valid; an empty one proves nothing. Raises ``SignatureError`` whatever the header is.
    """
    match = _SHA1_HEADER.fullmatch(_as_text(header).lower())
    if match is None:
        raise SignatureError("X-Hub-Signature is missing or not of the form sha1=<40 hex digits>")
    given = bytes.fromhex(match.group(1))
    expected = [hmac.digest(_as_bytes(secret), body, "sha1") for secret in secrets if secret]
    if not _equals_any(given, expected):
        raise SignatureError("X-Hub-Signature does not match the body")


def verify_secret(given: str | bytes | None, secrets: Sequence[str]) -> None:
    """Check a shared secret. ``secrets`` are the current one and those still valid; an empty one proves nothing.

    Raises ``SignatureError`` whatever was given.
    """
    # Digests have one length, so the time taken tells nothing of the secret's.
    digest = hashlib.sha256(_as_bytes(_as_text(given))).digest()
    expected = [hashlib.sha256(_as_bytes(secret)).digest() for secret in secrets if secret]
    if not given or not _equals_any(digest, expected):
        raise SignatureError("the webhook secret is missing or wrong")


def _equals_any(given: bytes, expected: Sequence[bytes]) -> bool:
    # A list first: every comparison is made, whichever of them matches.
    matches = [hmac.compare_digest(given, candidate) for candidate in expected]
    return any(matches)


def _as_text(header: str | bytes | None) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else header or ""


def _as_bytes(text: str) -> bytes:
    # Not plain UTF-8: a lone surrogate in a header must end as a wrong secret, not as an encoding error.
    return text.encode("utf-8", "surrogatepass")
