"""The ways an operator is told: a webhook of their own, and mail. Nothing is tried twice here, and neither an address
nor a password is in an error."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from app.core.alerts import Message

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
SUBMISSION, SUBMISSIONS = 587, 465
"""The ports of ``smtp://`` and ``smtps://`` where none is named."""


class NotSentError(Exception):
    """Nobody was told. The message says why, without the address."""


class Way(Protocol):
    name: str

    def send(self, message: Message) -> None:
        """Raises: NotSentError."""
        ...


class WebhookWay:
    """``{"text": ..., "alerts": [...]}``: a text, as chats take it, and the same for a program."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, message: Message) -> None:
        """Raises: NotSentError."""
        body = {"text": f"{message.subject}\n\n{message.text}", "alerts": list(message.alerts)}
        try:
            with requests.Session() as session:
                session.trust_env = False
                timeout = (CONNECT_SECONDS, ANSWER_SECONDS)
                answer = session.post(self._url, json=body, timeout=timeout, allow_redirects=False, stream=True)
                status = answer.status_code
                answer.close()
        except requests.RequestException as error:
            raise NotSentError(f"the webhook could not be reached ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise NotSentError(f"the webhook answered {status}")


class MailWay:
    """``smtp://`` with STARTTLS, or ``smtps://``; ``?from=`` names the sender, who else is the one written to."""

    name = "mail"

    def __init__(self, url: str, to: str) -> None:
        self._server = urlsplit(url)
        self._to = to
        self._from = parse_qs(self._server.query).get("from", [to])[0]

    def send(self, message: Message) -> None:
        """Raises: NotSentError, also where a password would travel in the clear."""
        try:
            mail = self._mail(message)
            with self._connected() as server:
                server.send_message(mail)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotSentError(f"the mail was not taken ({type(error).__name__})") from None

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.subject.split())
        mail["From"], mail["To"] = self._from, self._to
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        host, trusted = self._server.hostname or "", ssl.create_default_context()
        if self._server.scheme == "smtps":
            port = self._server.port or SUBMISSIONS
            with smtplib.SMTP_SSL(host, port, timeout=ANSWER_SECONDS, context=trusted) as server:
                self._sign_in(server)
                yield server
            return
        with smtplib.SMTP(host, self._server.port or SUBMISSION, timeout=ANSWER_SECONDS) as server:
            server.ehlo_or_helo_if_needed()
            if server.has_extn("starttls"):
                server.starttls(context=trusted)
            elif self._server.username:
                raise NotSentError("the mail server offers no STARTTLS, and the password is not sent in the clear")
            self._sign_in(server)
            yield server

    def _sign_in(self, server: smtplib.SMTP) -> None:
        if self._server.username:
            server.login(unquote(self._server.username), unquote(self._server.password or ""))
