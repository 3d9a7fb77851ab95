"""Both webhook doors against whatever bytes, headers and proofs come: never 5xx, 410 or 429, nothing stored that was
not verified, and nothing expanded that was sent small."""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import hmac
import inspect
import itertools
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.core import signatures
from app.web.webhooks import MOST_BYTES
from tests.attack.target import FORM, JSON, Answer, Target, examples, signed

DOORS = "the webhook doors"
INTERCOM = "/webhooks/intercom"
NEVER = {410, 429}

rushed = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))

# What comes

keys = st.text(max_size=8) | st.sampled_from(
    [
        "id",
        "email",
        "code",
        "type",
        "app_id",
        "topic",
        "data",
        "item",
        "referrer",
        "referrer[email]",
        "__proto__",
        "\0",
    ]
)
odd_texts = st.sampled_from(
    [
        "",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "\u202e",
        "a" * 70_000,
        "x@" + "y" * 300,
        "\r\nX-Injected: 1",
        "'; DROP TABLE events",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "\x1b[31m",
        "../../etc/passwd",
        "=cmd()",
        "NaN",
        "١٢٣",
        "\ufeff",
        "a@b\u3002c",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 2**64, 10**400, -1, 0, 1e308, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | odd_texts
)
values = st.recursive(
    scalars, lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=4), max_leaves=12
)
objects = st.dictionaries(keys, values, max_size=8).map(lambda one: json.dumps(one).encode("utf-8", "surrogatepass"))
doubled = st.tuples(st.sampled_from(["id", "email", "app_id"]), values, values).map(
    lambda one: f'{{"{one[0]}": {json.dumps(one[1])}, "{one[0]}": {json.dumps(one[2])}}}'.encode()
)
forms = st.lists(st.tuples(keys, st.text(max_size=20)), max_size=8).map(
    lambda pairs: urlencode([(a.encode("utf-8", "replace"), b.encode("utf-8", "replace")) for a, b in pairs]).encode()
)
broken = objects.flatmap(lambda body: st.integers(0, len(body)).map(lambda at: body[:at] + b"\xff\x00{" + body[at:]))
bodies = st.binary(max_size=300) | objects | doubled | forms | broken | st.just(b"")

latin = st.text(st.characters(codec="latin-1"), max_size=40)
types = st.sampled_from(
    [
        JSON,
        FORM,
        f"{JSON}; charset=utf-16",
        f"{JSON};charset=no-such",
        "application/JSON",
        "text/json",
        "text/xml",
        "",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        f"{FORM}; charset=utf-7",
        "application/json, text/html",
        ";;;",
    ]
)
headers = st.dictionaries(
    st.sampled_from(
        [
            "Content-Encoding",
            "Transfer-Encoding",
            "Authorization",
            "X-Hub-Signature",
            "X-Referloop-Secret",
            "Host",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-HTTP-Method-Override",
            "Cookie",
            "User-Agent",
            "Expect",
            "Range",
            "If-None-Match",
            "Accept",
            "Accept-Encoding",
            "Content-Length-2",
            "X-Original-URL",
        ]
    ),
    latin
    | st.sampled_from(
        ["gzip", "deflate", "br", "chunked", "identity", "Basic !!!", "Basic Og==", "sha1=" + "0" * 40]
    ),
    max_size=5,
)


def kept(target: Target) -> int:
    return target.stored()["events"]


def holds(answer: Answer) -> None:
    assert answer.status < 500, answer.broken or answer.body[:500]
    assert answer.status not in NEVER


def refused_unseen(target: Target, door: str, body: bytes, sent: dict[str, str], before: int) -> Answer:
    """Refused, and nothing at all was committed."""
    answer = target.send(DOORS, "POST", door, body, sent)
    holds(answer)
    target.refuses(answer)
    assert target.version() == before
    return answer


# Without proof


def test_no_stranger_is_kept_whatever_they_send(target: Target) -> None:
    @settings(rushed, max_examples=examples(0.3))
    @given(body=bodies, kind=types, more=headers, door=st.sampled_from([INTERCOM, target.door]))
    def one(body: bytes, kind: str, more: dict[str, str], door: str) -> None:
        before = target.version()
        answer = refused_unseen(target, door, body, {"Content-Type": kind, **more}, before)
        assert answer.status in (400, 401, 413, 415)

    one()


def test_no_address_but_our_own_takes_anything(target: Target) -> None:
    @settings(rushed, max_examples=examples(0.05))
    @given(
        path=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
        method=st.sampled_from(["POST", "PUT", "GET", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "post", "X"]),
    )
    def one(path: bytes, method: str) -> None:
        before = target.version()
        answer = target.send(
            DOORS, method, b"/webhooks/referral-factory/" + path, b"{}", {"X-Referloop-Secret": target.secret}
        )
        holds(answer)
        assert answer.status in (200, 308, 400, 404, 405)
        assert answer.status != 200 or method == "OPTIONS"
        assert target.version() == before

    one()


# With proof


def test_a_proven_sender_is_kept_or_refused_whatever_they_send(target: Target) -> None:
    """Never 5xx: it would come again for ever. What can't be read is refused as it is to a stranger."""

    @settings(rushed, max_examples=examples(0.2))
    @given(body=bodies, kind=types, more=headers)
    def one(body: bytes, kind: str, more: dict[str, str]) -> None:
        before = kept(target)
        sent = {"Content-Type": kind, **more, "X-Referloop-Secret": target.secret}
        holds(answer := target.send(DOORS, "POST", target.door, body, sent))
        assert answer.status in (200, 400, 413, 415)
        for signed_body in (body, _addressed(target, body)):
            holds(other := target.send(DOORS, "POST", INTERCOM, signed_body, {**more, **signed(signed_body)}))
            assert other.status in (200, 400, 401, 413, 415)
        assert kept(target) <= before + 3

    one()


def _addressed(target: Target, body: bytes) -> bytes:
    """The same, about our workspace, where it is an object."""
    return b'{"app_id": "app1", ' + body[1:] if body.startswith(b"{") and len(body) > 2 else b'{"app_id": "app1"}'


# Proofs

BODY = json.dumps({"app_id": "app1", "id": "notif_of_an_attack", "topic": "ping"}).encode()
DIGEST = hmac.new(b"us-secret", BODY, hashlib.sha1).hexdigest()

FORGED = [
    "",
    "sha1=",
    "sha1",
    DIGEST,
    f"sha1={DIGEST[:-1]}",
    f"sha1={DIGEST}0",
    f"sha1= {DIGEST}",
    f" sha1={DIGEST}x",
    f"sha256={DIGEST}",
    f"sha1={DIGEST},sha1={'0' * 40}",
    f"sha1={'0' * 40}",
    "sha1=" + "g" * 40,
    "sha1=" + "٠" * 40,
    "sha1=" + hmac.new(b"", BODY, hashlib.sha1).hexdigest(),
    "sha1=" + hashlib.sha1(BODY).hexdigest(),
    "sha1=" + hashlib.sha1(b"us-secret" + BODY).hexdigest(),
    "sha1=" + hmac.new(b"us-secret", b"", hashlib.sha1).hexdigest(),
    "sha1=" + hmac.new(b"us-secret", BODY + b"\n", hashlib.sha1).hexdigest(),
    "sha1=" + hmac.new(b"us-secret ", BODY, hashlib.sha1).hexdigest(),
    "sha1=" + hmac.new(b"us-token", BODY, hashlib.sha1).hexdigest(),
    "sha1=" + "0" * 100_000,
    "sha1=" + hmac.new(b"us-secret", BODY, hashlib.sha256).hexdigest()[:40],
    "null",
    "true",
    "[]",
    "sha1=\x00",
    "sha1=\xff" * 9,
]


@pytest.mark.parametrize("signature", FORGED, ids=lambda text: ascii(text)[:24])
def test_a_forged_signature_opens_nothing(target: Target, signature: str) -> None:
    sent = {"Content-Type": JSON, "X-Hub-Signature": signature}
    assert refused_unseen(target, INTERCOM, BODY, sent, target.version()).status == 401


def test_every_single_wrong_digit_is_a_wrong_signature(target: Target) -> None:
    before = target.version()
    for place, digit in itertools.product(range(40), "0f"):
        if DIGEST[place] != digit:
            forged = f"sha1={DIGEST[:place]}{digit}{DIGEST[place + 1 :]}"
            sent = {"Content-Type": JSON, "X-Hub-Signature": forged}
            assert refused_unseen(target, INTERCOM, BODY, sent, before).status == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"ping", b"pong"),
        lambda body: body + b" ",
        lambda body: b"\xef\xbb\xbf" + body,
        lambda body: body.replace(b'"app_id"', b'"\\u0061pp_id"'),
        lambda body: body[:-1] + b', "app_id": "app2"}',
        gzip.compress,
    ],
)
def test_a_signature_is_of_these_very_bytes(target: Target, change: Callable[[bytes], bytes]) -> None:
    refused_unseen(target, INTERCOM, change(BODY), signed(BODY), target.version())


def test_a_replayed_notification_is_known_and_done_nothing_about(target: Target) -> None:
    body = json.dumps({"app_id": "app1", "id": "notif_replayed", "topic": "ping"}).encode()
    first = json.loads(target.send(DOORS, "POST", INTERCOM, body, signed(body)).body)
    before = kept(target)
    for _ in range(50):
        again = json.loads(target.send(DOORS, "POST", INTERCOM, body, signed(body)).body)
        assert again == {"event_id": first["event_id"], "duplicate": True}
    assert kept(target) == before


def test_a_workspace_speaks_for_itself_only(target: Target) -> None:
    """Its secret proves nothing of another workspace, nor of a campaign, and the other way round."""
    before = target.version()
    other = BODY.replace(b"app1", b"app2")
    for body, secret in ((other, "us-secret"), (BODY, "eu-secret"), (BODY, target.secret), (BODY, "rf-token")):
        assert refused_unseen(target, INTERCOM, body, signed(body, secret), before).status == 401
    for secret in (
        "us-secret",
        "us-token",
        "rf-token",
        target.secret[:-1],
        f"{target.secret} ",
        target.secret.upper(),
    ):
        basic = {"Authorization": "Basic " + base64.b64encode(f":{secret}".encode()).decode()}
        for proof in ({"X-Referloop-Secret": secret}, basic, {"Authorization": f"Bearer {target.secret}"}):
            sent = {"Content-Type": JSON, **proof}
            assert refused_unseen(target, target.door, b'{"id": 1}', sent, before).status == 401


def test_proofs_are_compared_in_constant_time() -> None:
    """No ``==`` between what was given and what was expected: only ``hmac.compare_digest``."""
    tree = ast.parse(inspect.getsource(signatures))
    compared = [one for one in ast.walk(tree) if isinstance(one, ast.Compare)]
    assert all(isinstance(one.ops[0], ast.Is) for one in compared), [ast.unparse(one) for one in compared]
    called = [ast.unparse(one.func) for one in ast.walk(tree) if isinstance(one, ast.Call)]
    assert "hmac.compare_digest" in called


# Bombs

DEEP = 200_000
SIXTEEN_MEGABYTES = 16 * 1024 * 1024
NESTED: list[tuple[str, bytes, str]] = [
    ("lists", b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}", JSON),
    ("objects", b'{"a":' * DEEP + b"1" + b"}" * DEEP, JSON),
    ("unclosed", b'{"a":[' * DEEP, JSON),
    ("digits", b'{"id":' + b"9" * 1_000_000 + b"}", JSON),
    ("digits of a fraction", b'{"id":0.' + b"9" * 1_000_000 + b"}", JSON),
    ("an exponent", b'{"id":1e' + b"9" * 1_000_000 + b"}", JSON),
    ("keys", b'{"a":1' + b"".join(b',"k%d":1' % n for n in range(80_000)) + b"}", JSON),
    ("one key again and again", b'{"a":1' + b',"a":1' * 160_000 + b"}", JSON),
    ("escapes", b'{"email":"' + b"\\ud800" * 170_000 + b'"}', JSON),
    ("form fields", b"&".join(b"f%d=1" % n for n in range(100_000)), FORM),
    ("one form field again and again", b"&".join([b"a=1"] * 250_000), FORM),
    ("nested form", b"a" + b"[b]" * 300_000 + b"=1", FORM),
    ("open brackets", b"a" * 500_000 + b"[" * 500_000 + b"=1", FORM),
    ("separators", b"&" * 1_000_000, FORM),
    ("percent signs", b"a=" + b"%" * 1_000_000, FORM),
    ("an email of signs", b'{"email":"' + b"@." * 500_000 + b'"}', JSON),
    ("an email of blanks", b'{"email":"' + b" " * 1_000_000 + b'x"}', JSON),
]


@pytest.mark.parametrize(("body", "kind"), [one[1:] for one in NESTED], ids=[one[0] for one in NESTED])
def test_a_nested_bomb_is_answered_at_once_by_either_door(target: Target, body: bytes, kind: str) -> None:
    for proof in ({}, {"X-Referloop-Secret": target.secret}):
        _at_once(target, target.door, body, {"Content-Type": kind, **proof})
    _at_once(target, INTERCOM, body, signed(body))
    about_us = b'{"app_id": "app1", ' + body[1:] if body.startswith(b"{") else body
    _at_once(target, INTERCOM, about_us, signed(about_us))


def _at_once(target: Target, door: str, body: bytes, sent: dict[str, str]) -> Answer:
    began = time.process_time()
    answer = target.send(DOORS, "POST", door, body, sent)
    assert time.process_time() - began < 3
    holds(answer)
    assert answer.status in (200, 400, 401, 413)
    return answer


@pytest.mark.parametrize(
    ("encoding", "squeeze"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("gzip, gzip", lambda b: b)]
)
def test_a_compressed_body_is_never_expanded(
    target: Target, encoding: str, squeeze: Callable[[bytes], bytes]
) -> None:
    bomb = squeeze(b'{"a": "' + bytes(SIXTEEN_MEGABYTES // 64) + b'"}')
    while len(bomb) > MOST_BYTES:
        bomb = gzip.compress(bomb)
    tracemalloc.start()
    try:
        for door, proof in ((target.door, {"X-Referloop-Secret": target.secret}), (INTERCOM, signed(bomb))):
            before = target.version()
            sent = {**proof, "Content-Type": JSON, "Content-Encoding": encoding}
            refused_unseen(target, door, bomb, sent, before)
        assert tracemalloc.get_traced_memory()[1] < 8 * MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1, 3 * MOST_BYTES])
@pytest.mark.parametrize("claimed", ["true", "none", "small", "huge", "-1", "x", "1e3", "+5", "9" * 50, "٣"])
def test_a_body_is_taken_to_one_mebibyte_whatever_its_length_is_said_to_be(
    target: Target, size: int, claimed: str
) -> None:
    body = b'{"x": "' + b"y" * (size - 9) + b'"}'
    length: dict[str, Any] = {"true": str(size), "none": "", "small": "10", "huge": str(10**12)}
    sent = {"Content-Type": JSON, "X-Referloop-Secret": target.secret, "Content-Length": length.get(claimed, claimed)}
    answer = target.send(DOORS, "POST", target.door, body, sent)
    holds(answer)
    if claimed == "true":
        assert answer.status == (200 if size <= MOST_BYTES else 413)
    else:
        assert answer.status in (400, 413) or (claimed in ("x", "1e3", "+5", "-1") and answer.status in (200, 400))
