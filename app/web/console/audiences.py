"""What is done with a campaign's leads and referrers: set up, tried on somebody, kept in versions, and as a document.

One form holds everything. Each of its buttons sends all of it, so that nothing typed is lost whatever happens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from marshmallow import ValidationError
from sqlalchemy import Row
from werkzeug.wrappers import Response

from app.core.audiences import AttributeType, AudienceSettings
from app.core.causes import Cause
from app.core.changes import changes
from app.core.errors import ApiError, FieldError, InvalidRequest
from app.core.people import Audience
from app.core.text import storable
from app.storage import campaigns, workspaces
from app.usecases.keep_settings import Comparison, compare_settings, keep_settings, settings_of
from app.usecases.refresh_catalogue import create_attribute, refresh_workspace
from app.usecases.set_up_audience import faults as faults_of
from app.usecases.set_up_audience import keep_audience, versions_of
from app.web.console import audience_form, audience_words
from app.web.console.access import actor, services
from app.web.console.audience_form import Faults, faults_at, form_from, form_of
from app.web.console.audience_page import Page, page_of, rendered, rule_told
from app.web.console.audience_words import ChangeWords, change_words, document_changes
from app.web.problems import vendor_cause
from schemas.api_faults import field_errors
from schemas.api_fields import id_from
from schemas.api_setup import AttributeBody
from schemas.audiences import audience_settings_from, read_audience
from schemas.bodies import json_from

audiences = Blueprint("audiences", __name__)

AUDIENCE = "/campaigns/<id:campaign_id>/<any(leads, referrers):audience>"
SETTINGS = "/campaigns/<id:campaign_id>/settings"

VERSIONS_SHOWN = 20


@audiences.get(AUDIENCE)
def shown(campaign_id: int, audience: str) -> Response:
    page = page_of(campaign_id, Audience(audience))
    saved = read_audience(page.body())
    page.faults = faults_at(faults_of(page.around, page.audience, saved), page.form) if page.saved.version else {}
    return rendered(page)


# What is done with the form


@audiences.post(AUDIENCE)
def changed(campaign_id: int, audience: str) -> Response:
    page = page_of(campaign_id, Audience(audience), form_from(request.form))
    asked, _, number = request.form.get("do", "save").partition(":")
    match asked:
        case "save":
            return _save(page)
        case "create_attribute":
            _create_attribute(page)
        case "refresh":
            _refresh(page)
        case "add_row":
            page.form.rows.append(audience_form.Row())
            page.focus = f"row-{len(page.form.rows) - 1}-kind"
        case "remove_row" if number.isdigit() and int(number) < len(page.form.rows):
            del page.form.rows[int(number)]
            page.focus = "add-row"
        case "add_field" if number.isdigit() and int(number) < len(page.form.rows):
            row = page.form.rows[int(number)]
            row.fields = [*(row.fields or [""]), ""]
            page.focus = f"row-{int(number)}-field-{len(row.fields) - 1}"
        case "add_target":
            page.form.targets.append("")
            page.focus = f"target-{len(page.form.targets) - 1}"
        case _:
            page.try_out()
            page.focus = "preview"
    return rendered(page)


def _save(page: Page) -> Response:
    page.form.tidy()
    try:
        kept = keep_audience(services(), page.campaign.id, page.audience, page.body(), actor(), page.form.version)
    except InvalidRequest as error:
        return _refused(page, error)
    if kept.version == page.form.version:
        flash("Nothing was changed: these are the settings that hold already.", "info")
    else:
        flash(f"Saved as version {kept.version}. It holds from now on.", "success")
    if page.saved.setup_required and not kept.setup_required:
        flash(
            "Whoever joins from now on is sent. Those who joined before are sent by a backfill, if you wish.", "info"
        )
    return redirect(url_for(".shown", campaign_id=page.campaign.id, audience=page.audience.value))


def _refused(page: Page, error: InvalidRequest) -> Response:
    """The form as it was sent, with its faults; where somebody was faster, with what they changed."""
    if error.status == 409:
        page = page_of(page.campaign.id, page.audience, page.form)
        page.overtaken = _since(page)
        page.form.version = page.saved.version
        return rendered(page, 409)
    if error.status != 422:
        raise error
    page.faults = faults_at(error.errors, page.form)
    return rendered(page, 422)


def _since(page: Page) -> list[ChangeWords]:
    """What the versions after the form's own have changed."""
    with services().database.reading() as connection:
        row = campaigns.audience_version(connection, page.campaign.id, page.audience, page.form.version)
    before = audience_settings_from(row.settings) if row is not None else AudienceSettings()
    return _change_words(page, before, page.saved.settings)


def _change_words(page: Page, before: AudienceSettings, after: AudienceSettings) -> list[ChangeWords]:
    return [change_words(one, page.audience, page.around.catalogue) for one in changes(before, after)]


def _create_attribute(page: Page) -> None:
    """Made in Intercom, and chosen in the first row that has no attribute yet."""
    try:
        body = AttributeBody().load(page.form.attribute.body())
        made = create_attribute(
            services(),
            page.campaign.workspace_id,
            actor(),
            name=body["name"],
            type_=AttributeType(body["type"]),
            options=body["options"],
        )
    except ValidationError as error:
        page.attribute_faults = _under_name(field_errors(error.messages))
    except InvalidRequest as error:
        page.attribute_faults = _under_name(error.errors or (FieldError("", error.cause, error.detail),))
    except ApiError as error:
        page.problem = vendor_cause(error), str(error)
    else:
        page.around = replace(page.around, catalogue={**page.around.catalogue, made.path: made})
        page.form.attribute = audience_form.NewAttribute()
        page.form.fill(made.path)
        page.notice = f"“{audience_words.cut(made.name)}” is in Intercom now, and in a row of the mapping below."
    page.focus = "new_name" if page.attribute_faults else "notice"


def _under_name(errors: Iterable[FieldError]) -> Faults:
    found: dict[str, list[FieldError]] = {}
    for error in errors:
        found.setdefault(error.pointer.split("/")[1] if "/" in error.pointer else "", []).append(error)
    return found


def _refresh(page: Page) -> None:
    page.focus = "notice"
    try:
        found = refresh_workspace(services(), page.campaign.workspace_id)
    except InvalidRequest as error:
        page.problem = Cause(error.cause), error.detail
    except ApiError as error:
        page.problem = vendor_cause(error), str(error)
    else:
        with services().database.reading() as connection:
            catalogue = workspaces.catalogue(connection, page.campaign.workspace_id)
        page.around = replace(page.around, catalogue=catalogue)
        page.notice = f"{found.attributes} attributes were read from Intercom."


# What would become of somebody


@audiences.post(f"{AUDIENCE}/preview")
def previewed(campaign_id: int, audience: str) -> Response:
    """The parts of the page that follow what is typed."""
    page = page_of(campaign_id, Audience(audience), form_from(request.form))
    page.try_out()
    more = rule_told(page.form, page.around, page.settings)
    one = page.audience.value.removesuffix("s")
    return make_response(render_template("console/audience_parts.html", page=page, form=page.form, one=one, **more))


# Versions


@dataclass(frozen=True, slots=True)
class Version:
    """One that was saved, with what it changed; ``first`` has nothing before it."""

    row: Row[Any]
    changes: list[ChangeWords]
    first: bool


@audiences.get(f"{AUDIENCE}/versions")
def versions(campaign_id: int, audience: str) -> str:
    page = page_of(campaign_id, Audience(audience))
    before = id_from(request.args.get("before", ""))
    rows = versions_of(services(), campaign_id, page.audience, before=before, limit=VERSIONS_SHOWN + 1)
    older = None
    if len(rows) > VERSIONS_SHOWN:
        last = rows[VERSIONS_SHOWN - 1].version
        older = url_for(".versions", campaign_id=campaign_id, audience=audience, before=last)
    return render_template(
        "console/audience_versions.html",
        page=page,
        campaign=page.campaign,
        audience=page.audience,
        saved=page.saved,
        versions=[_version(page, row, rows[at + 1 :][:1]) for at, row in enumerate(rows[:VERSIONS_SHOWN])],
        older=older,
    )


def _version(page: Page, row: Row[Any], former: Sequence[Row[Any]]) -> Version:
    before = audience_settings_from(former[0].settings) if former else AudienceSettings()
    return Version(row, _change_words(page, before, audience_settings_from(row.settings)), not former)


@audiences.post(f"{AUDIENCE}/versions/<id:version>/restore")
def restored(campaign_id: int, audience: str, version: int) -> Response:
    """A restored version is a new one. What Intercom no longer has is shown in the form, to be put right there."""
    page = page_of(campaign_id, Audience(audience))
    with services().database.reading() as connection:
        row = campaigns.audience_version(connection, campaign_id, page.audience, version)
    if row is None:
        abort(404)
    expected = id_from(request.form.get("expected", ""))
    page.form = form_of(audience_settings_from(row.settings), expected or page.saved.version)
    try:
        kept = keep_audience(services(), campaign_id, page.audience, row.settings, actor(), expected)
    except InvalidRequest as error:
        return _refused(page, error)
    flash(f"Version {version} holds again, as version {kept.version}.", "success")
    return redirect(url_for(".shown", campaign_id=campaign_id, audience=audience))


# The document of everything


@audiences.get(SETTINGS)
def document(campaign_id: int) -> Response:
    return _document_page(campaign_id)


@audiences.get(f"{SETTINGS}.json")
def downloaded(campaign_id: int) -> Response:
    response = make_response(json.dumps(settings_of(services(), campaign_id), indent=2, ensure_ascii=False) + "\n")
    response.headers["Content-Type"] = "application/json"
    response.headers["Content-Disposition"] = f'attachment; filename="referloop-campaign-{campaign_id}.json"'
    return response


@audiences.post(SETTINGS)
def loaded(campaign_id: int) -> Response:
    """What a document would change, before anything is kept."""
    sent = request.files.get("file")
    content = sent.read() if sent is not None and sent.filename else request.form.get("document", "").encode()
    text = content.decode("utf-8-sig", "replace")
    try:
        comparison = compare_settings(services(), campaign_id, json_from(content))
    except InvalidRequest as error:
        if error.status == 404:
            raise
        return _document_page(campaign_id, text=text, refusal=error.detail, status=422)
    return _document_page(campaign_id, comparison, text, status=422 if comparison.errors else 200)


@audiences.post(f"{SETTINGS}/apply")
def applied(campaign_id: int) -> Response:
    text, mark = request.form.get("document", ""), request.form.get("mark", "")
    try:
        body = json_from(text.encode())
        keep_settings(services(), campaign_id, body, actor(), mark)
    except InvalidRequest as error:
        if error.status not in (400, 409, 422):
            raise
        if error.status == 400:
            return _document_page(campaign_id, text=text, refusal=error.detail, status=422)
        comparison = compare_settings(services(), campaign_id, body)
        return _document_page(campaign_id, comparison, text, overtaken=error.status == 409, status=error.status)
    flash("The document's settings hold from now on.", "success")
    return redirect(url_for(".document", campaign_id=campaign_id))


def _document_page(
    campaign_id: int,
    comparison: Comparison | None = None,
    text: str = "",
    *,
    refusal: str | None = None,
    overtaken: bool = False,
    status: int = 200,
) -> Response:
    page, differences = page_of(campaign_id, Audience.LEADS), []
    if comparison is not None and comparison.after is not None:
        differences = document_changes(comparison.before, comparison.after, page.around.catalogue)
    return make_response(
        render_template(
            "console/audience_document.html",
            campaign=page.campaign,
            comparison=comparison,
            errors=[(storable(fault.pointer), fault.detail) for fault in comparison.errors] if comparison else [],
            differences=differences,
            text=text,
            refusal=refusal,
            overtaken=overtaken,
            now=json.dumps(settings_of(services(), campaign_id), indent=2, ensure_ascii=False),
        ),
        status,
    )
