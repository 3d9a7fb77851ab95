"""The way out, once for both vendors: kept-alive connections, time limits, and a vendor's answer as value or error.

Nothing is tried twice here: whether a call may be repeated is known to who asked for it. Redirects are not followed
(a token would travel with them). Proxies and ``.netrc`` of the environment are not read, for looking them up takes
longer than the rest of a request's preparation; whoever needs a proxy points ``INTERCOM_API_URL`` or
``REFERRAL_FACTORY_API_URL`` at it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import requests
import urllib3
from requests.adapters import HTTPAdapter

from app.core.errors import ApiError, RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.integrations.budget import Budget, wait_of

Observe = Callable[[Vendor, str, int, float], None]
"""``observe(vendor, operation, status, seconds)`` after each call; the status is 0 where no answer came."""

MAX_BODY_BYTES: Final = 20 * 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
MESSAGE_LENGTH: Final = 300

_EMAIL = re.compile(r"[^\s@'\"<>(),;:=]+@[^\s@'\"<>(),;:]+\.[^\s@'\"<>(),;:.]+")
_BEARER = re.compile(r"(?i)bearer\s+\S+")
_BLOCKED = re.compile(r"(?i)\bblock|\btoo many\b")


def unobserved(vendor: Vendor, operation: str, status: int, seconds: float) -> None:
    """The hook of who does not measure."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer that was read to its end. ``payload`` is the decoded JSON, ``None`` where there was none."""

    status: int
    headers: Mapping[str, str]
    payload: object = None

    @property
    def request_id(self) -> str | None:
        """The vendor's own name of this request, for its support."""
        inside = self.payload.get("request_id") if isinstance(self.payload, dict) else None
        return self.headers.get("X-Request-Id") or (str(inside) if inside else None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error's body says, whatever its form."""

    message: str = ""
    code: str = ""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds: for a connection, between two parts of an answer, and for all of it.

    Some of Referral Factory's answers take over 25 s (3 of 40 that were measured). What is not waited for is of
    unknown outcome."""

    connect: float = 5.0
    read: float = 30.0
    whole: float = 45.0


LIMITS: Final = Limits()


class Http:
    """Connections to any number of hosts, kept alive and shared by all threads of a process.

    Made after a fork, closed with its process. There is no session: what it does for a request, merging cookies,
    hooks and settings of which there are none, takes a quarter of the request's time.
    """

    def __init__(self, *, connections: int = 32, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._max_body_bytes = max_body_bytes
        self._adapter = HTTPAdapter(pool_connections=16, pool_maxsize=connections, max_retries=0)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: Limits,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of one exchange.

        Raises ``requests`` and ``urllib3`` errors as they come; ``TooLong`` for a body above the bound or an answer
        that takes longer than ``limits.whole``.
        """
        deadline = time.monotonic() + limits.whole
        request = requests.PreparedRequest()
        request.prepare(method=method, url=url, headers=headers, params=params, data=body)
        response = self._adapter.send(request, stream=True, timeout=(limits.connect, limits.read))
        try:
            return response.status_code, response.headers, self._body(response, deadline)
        finally:
            response.close()

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := response.raw.read1(CHUNK_BYTES, decode_content=True):
            size += len(part)
            if size > self._max_body_bytes or time.monotonic() > deadline:
                raise TooLong
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._adapter.close()

    def __enter__(self) -> Http:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


class TooLong(OSError):
    """An answer is larger, or takes longer, than any honest one."""


@dataclass(frozen=True, slots=True)
class Line:
    """The line to one account at one vendor: address, token, budget, and the errors in our words.

    ``fallback_wait`` is how long a 429 without usable headers is obeyed, in seconds.
    """

    vendor: Vendor
    base_url: str
    token: str = field(repr=False)
    http: Http
    budget: Budget
    observe: Observe = unobserved
    headers: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = LIMITS
    fallback_wait: float = 10.0
    bulk: bool = False

    def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        expected: Collection[int] = (),
        empty_ok: bool = False,
    ) -> Answer:
        """One call within the budget: its answer with 2xx or one of the ``expected`` statuses.

        ``path`` is relative to the base, or a whole URL. ``empty_ok`` takes a 2xx whose body is not JSON.
        Raises ``Unavailable``, ``RateLimited``, ``Unauthorized`` and ``Rejected``; see ``app.core.errors``.
        """
        try:
            return self._call(operation, method, path, params, body, expected, empty_ok)
        except ApiError as error:
            error.operation = operation
            raise

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, object] | None,
        expected: Collection[int],
        empty_ok: bool,
    ) -> Answer:
        self.budget.take(bulk=self.bulk)
        answer = self._exchange(operation, method, path, params, body)
        self.budget.learn(answer.headers)
        if answer.status in expected:
            return answer
        if not 200 <= answer.status < 300:
            raise self._error(answer)
        if answer.payload is None and not empty_ok:
            raise self.broken("answered without a body that can be read", answer)
        return answer

    def broken(self, what: str, answer: Answer | None = None) -> Unavailable:
        """The error for an answer that came and says nothing: what was asked may have been done."""
        return Unavailable(
            self.vendor,
            f"{self.vendor.label} {what}.",
            status=answer.status if answer else None,
            request_id=answer.request_id if answer else None,
        )

    def refused(self, answer: Answer) -> ApiError:
        """The error for an ``expected`` status that turns out not to be what was expected."""
        return self._error(answer)

    def _exchange(
        self,
        operation: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, object] | None,
    ) -> Answer:
        started, status = time.monotonic(), 0
        try:
            status, headers, raw = self.http.send(
                method,
                path if path.startswith(("http://", "https://")) else self.base_url.rstrip("/") + path,
                headers={**self.headers, "Authorization": f"Bearer {self.token}"},
                params=params,
                body=json.dumps(body).encode() if body is not None else None,
                limits=self.limits,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            status = 0
            raise self._absence(error) from error
        finally:
            self.observe(self.vendor, operation, status, time.monotonic() - started)
        return Answer(status, headers, decoded(raw))

    def _absence(self, error: Exception) -> Unavailable:
        if was_never_sent(error):
            return Unavailable(self.vendor, f"{self.vendor.label} can't be reached.", sent=False, down=True)
        return self.broken("did not answer in time" if is_timeout(error) else "broke off in the middle of an answer")

    def _error(self, answer: Answer) -> ApiError:
        """The status decides, for a body may say otherwise (a 500 may carry ``client_error``)."""
        status = answer.status
        if status == 429:
            return self._too_many(answer)
        if status == 403 and self._is_block(answer):
            return Unavailable(
                self.vendor, f"{self.vendor.label} has blocked this address.", status=403, sent=False, down=True
            )
        if status == 408 or status >= 500 or status < 400:
            return Unavailable(
                self.vendor,
                f"{self.vendor.label} answered {status}.",
                status=status,
                request_id=answer.request_id,
                down=status == 503,
            )
        return self._refusal(answer)

    def _is_block(self, answer: Answer) -> bool:
        """Whether a 403 turns the address away and not the token.

        Referral Factory blocks the address of who exceeds its limit, in what form its pages do not say
        (https://developers.referral-factory.com/): what is not JSON comes from a wall in front of the API, and what
        speaks of blocking means it.
        """
        if answer.payload is None:
            return True
        said = refusal_of(answer.payload).message
        return self.vendor is Vendor.REFERRAL_FACTORY and bool(_BLOCKED.search(said))

    def _too_many(self, answer: Answer) -> RateLimited:
        after = wait_of(answer.headers, self.fallback_wait)
        self.budget.hold(after)
        return RateLimited(
            self.vendor, f"{self.vendor.label} takes no more calls for {after:.0f} s.", after=after, status=429
        )

    def _refusal(self, answer: Answer) -> ApiError:
        said = refusal_of(answer.payload)
        message = redacted(said.message, self.token) or f"{self.vendor.label} answered {answer.status}."
        if answer.status in (401, 403):
            return Unauthorized(self.vendor, message, status=answer.status, request_id=answer.request_id)
        return Rejected(
            self.vendor,
            message,
            status=answer.status,
            code=said.code,
            fields=said.fields,
            request_id=answer.request_id,
        )


def decoded(raw: bytes) -> object:
    """The JSON in a body; ``None`` for an empty one, for HTML and for what else is no JSON."""
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def was_never_sent(error: Exception) -> bool:
    """Whether an exchange failed before the first byte of the request left: no connection, no name, no handshake."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.exceptions.SSLError):
        return "CERTIFICATE_VERIFY_FAILED" in str(error)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def is_timeout(error: Exception) -> bool:
    return isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TooLong)


def refusal_of(payload: object) -> Refusal:
    """Message, code and named fields of an error, from every form seen.

    Intercom: ``{"type": "error.list", "errors": [{"code", "message", "field"}]}``. Referral Factory: ``{"message"}``,
    ``{"errors": {field: [text or {"field", "message"}]}}`` (https://developers.referral-factory.com/reference/errors).
    """
    if isinstance(payload, str):
        return Refusal(payload)
    if isinstance(payload, list):
        payload = {"errors": payload}
    if not isinstance(payload, dict):
        return Refusal()
    rows = list(_error_rows(payload.get("errors")))
    messages = [text for text in (payload.get("message"), payload.get("error"), *(row[1] for row in rows)) if text]
    codes = [code for code, _, _ in rows if code] or [str(payload.get("code") or "")]
    fields = dict.fromkeys(name for _, _, name in rows if name)
    return Refusal(" ".join(dict.fromkeys(str(text) for text in messages)), codes[0], tuple(fields))


def _error_rows(errors: object, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Code, message and field of each error below ``errors``."""
    if isinstance(errors, str):
        yield "", errors, name
    elif isinstance(errors, list):
        for row in errors:
            yield from _error_rows(row, name)
    elif isinstance(errors, dict) and ("message" in errors or "code" in errors):
        yield str(errors.get("code") or ""), str(errors.get("message") or ""), str(errors.get("field") or name)
    elif isinstance(errors, dict):
        for key, below in errors.items():
            yield from _error_rows(below, str(key))


def redacted(message: str, token: str = "") -> str:
    """A vendor's words without tokens and addresses of people, at most 300 characters."""
    if token:
        message = message.replace(token, "***")
    return _EMAIL.sub("***", _BEARER.sub("***", message))[:MESSAGE_LENGTH]
