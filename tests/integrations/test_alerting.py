"""The ways to an operator: a webhook over HTTP, and mail over SMTP, each on this machine."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail

import pytest
from pytest_httpserver import HTTPServer

from app.core.alerts import Message
from app.integrations.alerting import MailWay, NotSentError, WebhookWay

pytestmark = pytest.mark.enable_socket

TOLD = Message("Referloop: Something\nis lost", "Mend it – soon.", [{"key": "x", "state": "begun"}])


class TestWebhook:
    def test_gets_a_text_for_people_and_the_same_for_programs(self, httpserver: HTTPServer) -> None:
        httpserver.expect_oneshot_request("/hook", method="POST").respond_with_data("ok")
        WebhookWay(httpserver.url_for("/hook")).send(TOLD)
        ((request, _),) = httpserver.log
        assert request.json == {"text": f"{TOLD.subject}\n\n{TOLD.text}", "alerts": [{"key": "x", "state": "begun"}]}

    @pytest.mark.parametrize("status", [301, 404, 500])
    def test_that_takes_it_otherwise_has_not_got_it(self, httpserver: HTTPServer, status: int) -> None:
        httpserver.expect_request("/hook").respond_with_data("no", status, {"Location": "/elsewhere"})
        with pytest.raises(NotSentError, match=str(status)):
            WebhookWay(httpserver.url_for("/hook")).send(TOLD)
        assert len(httpserver.log) == 1

    def test_that_can_not_be_reached_is_not_named_in_the_error(self) -> None:
        with pytest.raises(NotSentError) as raised:
            WebhookWay("http://127.0.0.1:1/secret-path").send(TOLD)
        assert "secret-path" not in str(raised.value)
        assert raised.value.__cause__ is None


class _Session(socketserver.StreamRequestHandler):
    """As much of SMTP as a mail needs."""

    server: MailServer

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            self.server.said.append(line)
            if verb == "DATA":
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(message_from_bytes(b"".join(lines)))
            self._say({"EHLO": "250 8BITMIME", "QUIT": "221 bye"}.get(verb, self.server.answer))
            if verb == "QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answer = "250 ok"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.said: list[str] = []
        self.mails: list[Mail] = []

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestMail:
    def test_is_written_to_the_operator(self, server: MailServer) -> None:
        MailWay(f"smtp://{server.url}", "ops@example.com").send(TOLD)
        (mail,) = server.mails
        assert (mail["To"], mail["From"]) == ("ops@example.com", "ops@example.com")
        assert mail["Subject"] == "Referloop: Something is lost"
        payload = mail.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode().strip() == TOLD.text

    def test_comes_from_whom_the_address_names(self, server: MailServer) -> None:
        MailWay(f"smtp://{server.url}?from=referloop%40example.com", "ops@example.com").send(TOLD)
        assert server.mails[0]["From"] == "referloop@example.com"

    def test_does_not_send_a_password_in_the_clear(self, server: MailServer) -> None:
        with pytest.raises(NotSentError, match="STARTTLS"):
            MailWay(f"smtp://ops:hush@{server.url}", "ops@example.com").send(TOLD)
        assert not any("AUTH" in line or "hush" in line for line in server.said)

    def test_that_is_refused_or_has_no_server_is_not_sent(self, server: MailServer) -> None:
        server.answer = "550 no"
        for url in (f"smtp://{server.url}", "smtp://127.0.0.1:1", "smtps://127.0.0.1:1"):
            with pytest.raises(NotSentError):
                MailWay(url, "ops@example.com").send(TOLD)
