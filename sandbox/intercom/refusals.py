"""Intercom's refusals: a status and one coded error."""

from __future__ import annotations


class Refused(Exception):
    """An answer other than 200."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str | None = None,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
        names_request: bool = True,
    ) -> None:
        super().__init__(message or code)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers or {}
        self.names_request = names_request


def not_found(message: str = "User Not Found") -> Refused:
    """404 for a contact that is not there, or no longer."""
    return Refused(404, "not_found", message)


def invalid(message: str, code: str = "parameter_invalid") -> Refused:
    """400 for a body that can't be taken."""
    return Refused(400, code, message)
