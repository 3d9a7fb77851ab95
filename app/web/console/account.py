"""One's own: the password, and where one is signed in."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import PasswordField, SubmitField
from wtforms.validators import DataRequired, EqualTo

from app.core.access import LEAST_PASSWORD
from app.core.errors import InvalidRequest
from app.usecases.change_password import change_password
from app.usecases.end_sessions import end_own_session, end_sessions
from app.usecases.sign_in import sessions_of, signed_in
from app.web.console.access import came_from, enter, own_doing, services, who

account = Blueprint("account", __name__)


class ChangePasswordForm(FlaskForm):  # type: ignore[misc]  # it has no types
    current = PasswordField(
        "Password of now", [DataRequired("Type it.")], render_kw={"autocomplete": "current-password"}
    )
    password = PasswordField(
        "New password",
        [DataRequired("Choose a password.")],
        description=f"At least {LEAST_PASSWORD} characters. A few words in a row are a good one.",
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "The same again",
        [EqualTo("password", "The two are not the same.")],
        render_kw={"autocomplete": "new-password"},
    )
    submit = SubmitField("Change password")


@account.get("/account")
def show() -> ResponseReturnValue:
    return _page(ChangePasswordForm())


def _page(form: ChangePasswordForm, fault: str | None = None) -> str:
    sessions = sessions_of(services(), who().user_id)
    return render_template("console/account.html", form=form, fault=fault, sessions=sessions, this=who().session_id)


@account.post("/account/password")
@own_doing
def change() -> ResponseReturnValue:
    form = ChangePasswordForm()
    if not form.validate():
        return make_response(_page(form), 422)
    try:
        token = change_password(services(), who(), form.current.data, form.password.data, came_from())
    except InvalidRequest as error:
        return make_response(_page(form, error.detail), error.status)
    somebody = signed_in(services(), token)
    assert somebody is not None  # noqa: S101 - the session was begun a moment ago
    enter(token, somebody)
    flash("Your password is changed. Everywhere else you are signed out.", "success")
    return redirect(url_for("console.account.show"), 303)


@account.post("/account/sessions/<id:session_id>/end")
@own_doing
def end(session_id: int) -> ResponseReturnValue:
    end_own_session(services(), who(), session_id)
    flash("That session has ended.", "success")
    return redirect(url_for("console.account.show"), 303)


@account.post("/account/sessions/end")
@own_doing
def end_others() -> ResponseReturnValue:
    """All but the one that asks."""
    end_sessions(services(), who(), who().user_id)
    flash("Everywhere else you are signed out.", "success")
    return redirect(url_for("console.account.show"), 303)
