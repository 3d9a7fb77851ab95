"""Sessions are the console's."""

from __future__ import annotations

import pytest
from flask import Flask, session

from app.web.sessions import Sessions


@pytest.mark.parametrize(("path", "has_one"), [("/webhooks/intercom", False), ("/", True), ("/campaigns", True)])
def test_a_webhook_has_none(path: str, has_one: bool) -> None:
    app = Flask("app.web")
    app.secret_key = "a secret"
    app.session_interface = Sessions()
    app.add_url_rule(path, "view", lambda: str("_remember" in session))
    with app.test_request_context(path):
        assert app.session_interface.is_null_session(session._get_current_object()) is not has_one
    answer = app.test_client().get(path)
    assert (answer.status_code, "Cookie" in answer.headers.get("Vary", "")) == (200, has_one)
