"""API tokens: made for a program, shown once, revoked when it is done."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import StringField, SubmitField
from wtforms.validators import DataRequired, Length

from app.storage import api_tokens
from app.usecases.make_api_token import MOST_OF_NAME, make_api_token, revoke_api_token
from app.web.api.paging import cursor_from, id_in
from app.web.console.access import services, who

tokens = Blueprint("tokens", __name__)

PAGE = 50


class TokenForm(FlaskForm):  # type: ignore[misc]  # it has no types
    name = StringField(
        "What is it for?",
        [DataRequired("Give it a name."), Length(max=MOST_OF_NAME)],
        description="For example: Weekly report.",
        render_kw={"autocomplete": "off"},
    )
    submit = SubmitField("Make a token")


@tokens.get("/tokens")
def show() -> ResponseReturnValue:
    return _page(TokenForm())


def _page(form: TokenForm) -> str:
    """Everybody's for an owner, one's own for a teammate."""
    mine = None if who().rights.is_owner else who().user_id
    with services().database.reading() as connection:
        before = id_in(request.args.get("before"))
        rows = api_tokens.page(connection, user_id=mine, before=before, limit=PAGE + 1)
    older = url_for(".show", before=cursor_from(rows[PAGE - 1].id)) if len(rows) > PAGE else None
    return render_template("console/tokens.html", form=form, tokens=rows[:PAGE], older=older)


@tokens.post("/tokens")
def make() -> ResponseReturnValue:
    """It is shown in the answer itself and nowhere again."""
    form = TokenForm()
    if not form.validate():
        return make_response(_page(form), 422)
    token = make_api_token(services(), who(), form.name.data)
    return render_template("console/token.html", token=token, name=form.name.data)


@tokens.post("/tokens/<id:token_id>/revoke")
def revoke(token_id: int) -> ResponseReturnValue:
    revoke_api_token(services(), who(), token_id)
    flash("The token no longer works.", "success")
    return redirect(url_for(".show"), 303)
