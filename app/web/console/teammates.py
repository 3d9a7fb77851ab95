"""Who is here and what they may do; links that let people in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import EmailField, RadioField, SubmitField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired

from app.core.access import INVITATION_LASTS
from app.core.errors import InvalidRequest
from app.storage import accounts
from app.usecases.change_rights import change_rights, remove_teammate
from app.usecases.end_sessions import end_sessions
from app.usecases.invite_teammate import invite_teammate, make_recovery, pending_invitations, withdraw_invitation
from app.usecases.recover_owner import path_of
from app.web.api.paging import cursor_from, id_in
from app.web.console.access import owners_only, services, who

teammates = Blueprint("teammates", __name__)

PAGE = 100

LEVELS: dict[str, dict[str, bool]] = {
    "look": {"owner": False, "may_manage": False},
    "manage": {"owner": False, "may_manage": True},
    "owner": {"owner": True, "may_manage": False},
}
WORDS = {
    "look": "Teammate: sees everything, changes nothing",
    "manage": "Teammate who may manage integrations",
    "owner": "Owner: may do everything, and gives these rights",
}


class InviteForm(FlaskForm):  # type: ignore[misc]  # it has no types
    email = EmailField("Their email", [DataRequired("Type their email.")], render_kw={"autocomplete": "off"})
    level = RadioField(
        "What they may do", choices=[SelectChoice(value, text) for value, text in WORDS.items()], default="look"
    )
    submit = SubmitField("Make a link")


def _level(owner: bool, may_manage: bool) -> str:
    if owner:
        return "owner"
    return "manage" if may_manage else "look"


@teammates.get("/teammates")
def show() -> ResponseReturnValue:
    return _page(InviteForm())


def _page(form: InviteForm, fault: str | None = None, **more: Any) -> str:
    with services().database.reading() as connection:
        rows = accounts.page(connection, after=id_in(request.args.get("after")), limit=PAGE + 1)
    shown = [(row, _level(row.owner, row.may_manage)) for row in rows[:PAGE] if row.removed_at is None]
    links = [(one, _level(one.owner, one.may_manage)) for one in pending_invitations(services())]
    older = url_for(".show", after=cursor_from(rows[PAGE - 1].id)) if len(rows) > PAGE else None
    return render_template(
        "console/teammates.html",
        form=form,
        fault=fault,
        people=shown,
        links=links,
        words=WORDS,
        older=older,
        me=who().user_id,
        **more,
    )


@teammates.post("/teammates")
@owners_only
def invite() -> ResponseReturnValue:
    form = InviteForm()
    if not form.validate():
        return make_response(_page(form), 422)
    try:
        token = invite_teammate(services(), who(), form.email.data, **LEVELS[form.level.data])
    except InvalidRequest as error:
        return make_response(_page(form, error.detail), error.status)
    return _link(token, form.email.data)


def _link(token: str, email: str) -> str:
    """Shown in the answer itself and nowhere again: it is in no address, no cookie and no log."""
    link = f"{services().public_url}{path_of(token)}"
    return render_template("console/link.html", link=link, email=email, days=INVITATION_LASTS.days)


@teammates.post("/teammates/<id:user_id>/rights")
@owners_only
def change(user_id: int) -> ResponseReturnValue:
    level = LEVELS.get(request.form.get("level", ""))
    if level is None:
        raise InvalidRequest("Choose one of the three.")
    change_rights(services(), who(), user_id, **level)
    return _back("Their rights are changed. It holds from now on, on every page that they open.")


@teammates.post("/teammates/<id:user_id>/remove")
@owners_only
def remove(user_id: int) -> ResponseReturnValue:
    remove_teammate(services(), who(), user_id)
    return _back("They are signed out and can't come in any more.")


@teammates.post("/teammates/<id:user_id>/sessions/end")
@owners_only
def end(user_id: int) -> ResponseReturnValue:
    ended = end_sessions(services(), who(), user_id)
    return _back("They were not signed in." if not ended else "They are signed out everywhere.")


@teammates.post("/teammates/<id:user_id>/recovery")
@owners_only
def recover(user_id: int) -> ResponseReturnValue:
    token = make_recovery(services(), who(), user_id)
    with services().database.reading() as connection:
        user = accounts.get(connection, user_id)
    assert user is not None  # noqa: S101 - a link was made for them
    return _link(token, user.email)


@teammates.post("/teammates/links/<id:invitation_id>/withdraw")
@owners_only
def withdraw(invitation_id: int) -> ResponseReturnValue:
    withdraw_invitation(services(), who(), invitation_id)
    return _back("The link no longer works.")


def _back(said: str) -> ResponseReturnValue:
    flash(said, "success")
    return redirect(url_for(".show"), 303)
