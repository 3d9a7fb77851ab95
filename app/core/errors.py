"""The error tree, divided by what the caller will do.

::

    ReferloopError
    ├── InvalidRequest          the sender can mend it: 4xx, nothing is stored
    ├── NotUnderstood           a verified event in a form we do not know: dead, replayable after a fix
    └── ApiError                a vendor did not do what was asked (``vendor``, ``status``, ``request_id``)
        ├── Unavailable         timeouts, resets, 5xx, 408: what is asked again may pass
        ├── RateLimited         429, or our own budget is spent: wait ``after`` seconds, no attempt is spent
        ├── Shut                not asked: what it needs is away, and another is finding out whether it is back
        ├── Unauthorized        401, 403: nothing of this kind passes until a person mends it
        └── Rejected            400, 404, 422 and other 4xx: the same call will fail again

An expected "no" (a conflict, a contact that is gone) is a value, not an exception: see ``app.integrations``.
"""

from __future__ import annotations

from enum import StrEnum


class Vendor(StrEnum):
    INTERCOM = "intercom"
    REFERRAL_FACTORY = "referral_factory"

    @property
    def label(self) -> str:
        return {"intercom": "Intercom", "referral_factory": "Referral Factory"}[self.value]


class ReferloopError(Exception):
    """The root of what this product raises on purpose."""


class FieldError:
    """One fault of a request: where (a JSON pointer), why (a cause of the catalogue), in words."""

    __slots__ = ("cause", "detail", "pointer")

    def __init__(self, pointer: str, cause: str, detail: str) -> None:
        self.pointer, self.cause, self.detail = pointer, cause, detail

    def as_dict(self) -> dict[str, str]:
        return {"pointer": self.pointer, "cause": self.cause, "detail": self.detail}


class InvalidRequest(ReferloopError):
    """Refused at the door, nothing stored. ``status`` is the HTTP answer, ``cause`` an id of the catalogue."""

    def __init__(
        self,
        detail: str,
        *,
        status: int = 422,
        cause: str = "invalid_request",
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.detail, self.status, self.cause, self.errors = detail, status, cause, errors


class NotUnderstood(ReferloopError):
    """A verified event whose form we do not know. The message says what was expected and what was found."""


class ApiError(ReferloopError):
    """A vendor's answer, or its absence. The message is fit for people: no token, no address of a person."""

    def __init__(
        self, vendor: Vendor, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.vendor, self.status, self.request_id = vendor, status, request_id
        # The call, by the name its client gives it.
        self.operation: str | None = None


class Unavailable(ApiError):
    """May pass. ``sent`` says that the request may have reached the vendor, so a write may have taken effect;
    ``down`` that the vendor as a whole is away (refused, timed out before sending, 503, address blocked)."""

    def __init__(
        self,
        vendor: Vendor,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        sent: bool = True,
        down: bool = False,
    ) -> None:
        super().__init__(vendor, message, status=status, request_id=request_id)
        self.sent, self.down = sent, down
        # No sooner than after so many seconds can it be seen whether the write took effect.
        self.after = 0.0


class RateLimited(ApiError):
    """Ask again after ``after`` seconds. Nothing was written."""

    def __init__(self, vendor: Vendor, message: str, *, after: float, status: int | None = None) -> None:
        super().__init__(vendor, message, status=status)
        self.after = after


class Shut(ApiError):
    """Nothing was asked: ``circuit`` names what is away, ``cause`` why."""

    def __init__(self, vendor: Vendor, message: str, *, circuit: str, cause: str) -> None:
        super().__init__(vendor, message)
        self.circuit, self.cause = circuit, cause


class Unauthorized(ApiError):
    """401 or 403: the token, or one permission of it, is refused. Nothing was written."""


class Rejected(ApiError):
    """The vendor will not take this, now or later. ``code`` and the message are the vendor's own; ``fields`` are
    those it names, as it names them (Intercom's attributes by path: ``custom_attributes.Plan``)."""

    def __init__(
        self,
        vendor: Vendor,
        message: str,
        *,
        status: int,
        code: str = "",
        fields: tuple[str, ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(vendor, message, status=status, request_id=request_id)
        self.code, self.fields = code, fields
