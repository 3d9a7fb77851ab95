"""Coming in: by a password, or by a link that somebody was given. And going out."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, logout_user
from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField, SubmitField
from wtforms.validators import DataRequired, EqualTo

from app.core.access import LASTS, LEAST_PASSWORD
from app.core.errors import InvalidRequest
from app.usecases import sign_in as signing_in
from app.usecases.accept_invitation import accept_invitation, known_invitation
from app.usecases.end_sessions import sign_out
from app.web.console.access import THEMES, came_from, enter, open_to_all, own_doing, own_path, services, who

sign_in = Blueprint("sign_in", __name__)


class SignInForm(FlaskForm):  # type: ignore[misc]  # it has no types
    email = EmailField("Email", [DataRequired("Type your email.")], render_kw={"autocomplete": "username"})
    password = PasswordField(
        "Password", [DataRequired("Type your password.")], render_kw={"autocomplete": "current-password"}
    )
    submit = SubmitField("Sign in")


class PasswordForm(FlaskForm):  # type: ignore[misc]
    password = PasswordField(
        "Password",
        [DataRequired("Choose a password.")],
        description=f"At least {LEAST_PASSWORD} characters. A few words in a row are a good one.",
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "The same again",
        [EqualTo("password", "The two are not the same.")],
        render_kw={"autocomplete": "new-password"},
    )
    submit = SubmitField("Choose this password and come in")


@sign_in.get("/sign-in")
@open_to_all
def show() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return redirect(own_path(request.args.get("next")))
    return render_template("console/sign_in.html", form=SignInForm(), fault=None)


@sign_in.post("/sign-in")
@open_to_all
def come_in() -> ResponseReturnValue:
    form = SignInForm()
    if not form.validate():
        return _again(form, None, 422)
    try:
        token = signing_in.sign_in(services(), form.email.data, form.password.data, came_from())
    except InvalidRequest as error:
        return _again(form, error.detail, error.status)
    return _in(token, own_path(request.args.get("next")))


def _again(form: SignInForm, fault: str | None, status: int) -> Response:
    return make_response(render_template("console/sign_in.html", form=form, fault=fault), status)


def _in(token: str, path: str) -> ResponseReturnValue:
    somebody = signing_in.signed_in(services(), token)
    assert somebody is not None  # noqa: S101 - the session was begun a moment ago
    enter(token, somebody)
    return redirect(path, 303)


@sign_in.get("/invitations/<token>")
@open_to_all
def show_invitation(token: str) -> ResponseReturnValue:
    invitation = known_invitation(services(), token)
    return render_template("console/invitation.html", form=PasswordForm(), invitation=invitation, fault=None)


@sign_in.post("/invitations/<token>")
@open_to_all
def accept(token: str) -> ResponseReturnValue:
    """Whoever was signed in with this browser is out."""
    invitation, form, fault, status = known_invitation(services(), token), PasswordForm(), None, 422
    if form.validate():
        try:
            return _in(accept_invitation(services(), token, form.password.data, came_from()), "/")
        except InvalidRequest as error:
            if error.status == 404:
                raise
            fault, status = error.detail, error.status
    page = render_template("console/invitation.html", form=form, invitation=invitation, fault=fault)
    return make_response(page, status)


@sign_in.post("/sign-out")
@own_doing
def go_out() -> ResponseReturnValue:
    sign_out(services(), who())
    logout_user()
    return redirect(url_for("console.sign_in.show"), 303)


@sign_in.post("/theme")
@own_doing
def choose_theme() -> ResponseReturnValue:
    """Light, dark, or as the system has it."""
    response = make_response(redirect(own_path(request.form.get("next")), 303))
    theme = request.form.get("theme")
    if theme in THEMES:
        secure = services().public_url.startswith("https:")
        response.set_cookie("theme", theme, max_age=LASTS * 12, httponly=True, samesite="Lax", secure=secure)
    else:
        response.delete_cookie("theme")
    return response
