"""Rows as the API shows them, before the schemas write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row

from app.core import intercom_pages
from app.core.causes import Cause
from app.core.people import CUSTOM
from app.core.syncs import seconds_left
from app.storage import reconciles, syncs, workspaces
from app.usecases.attribute_choices import Choice
from app.usecases.preview_person import Preview, role_of
from app.usecases.preview_sync import SyncPreview
from app.usecases.set_up_audience import ShownAudience
from app.usecases.show_person import Moment
from schemas.audiences import document_from
from schemas.referral_factory import Campaign

WEBHOOK_HEADER = "X-Referloop-Secret"

Workspaces = Mapping[int, Row[Any]]


def columns(row: Row[Any]) -> dict[str, Any]:
    """By name: a row's own attributes are those of a tuple, ``count`` among them."""
    return dict(row._mapping)


def workspaces_of(connection: Connection, rows: Iterable[Row[Any]]) -> Workspaces:
    """The workspaces that the rows' contacts are in."""
    return workspaces.by_ids(connection, {row.workspace_id for row in rows})


def contact(row: Row[Any], spaces: Workspaces) -> dict[str, Any] | None:
    workspace = spaces.get(row.workspace_id)
    if row.contact_id is None or workspace is None:
        return None
    return {"id": row.contact_id, "role": row.contact_role, "url": contact_url(workspace, row.contact_id)}


def contact_url(workspace: Row[Any], contact_id: str) -> str:
    """Where a teammate sees the contact in Intercom."""
    return intercom_pages.contact_url(workspace.region, workspace.app_id, contact_id)


def attribute(choice: Choice) -> dict[str, Any]:
    found, why_not = choice
    return {
        "name": found.name,
        "path": found.path,
        "label": found.label,
        "type": found.type,
        "options": found.options,
        "writable": found.writable,
        "archived": found.archived,
        "mappable": why_not is None,
        "cause": why_not,
    }


def campaign(row: Row[Any], public_url: str, secret: str | None = None) -> dict[str, Any]:
    base = f"{public_url}/webhooks/referral-factory/{row.webhook_key}"
    topics = {"joined": "joined", "qualified": "qualified", "reward_issued": "reward-issued"}
    webhook = {
        "key": row.webhook_key,
        "secret": secret,
        "header": WEBHOOK_HEADER,
        "urls": {name: f"{base}/{topic}" for name, topic in topics.items()},
    }
    state = "active" if row.archived_at is None else "archived"
    return {**columns(row), "state": state, "webhook": webhook}


def found_campaign(found: Campaign) -> dict[str, Any]:
    return {
        "referral_factory_id": found.referral_factory_id,
        "name": found.name,
        "code": found.code,
        "status": found.status,
        "fields": {"leads": list(found.leads), "referrers": list(found.referrers)},
    }


def audience(shown: ShownAudience) -> dict[str, Any]:
    return {
        **document_from(shown.settings),
        "setup_required": shown.setup_required,
        "warnings": shown.warnings,
        "version": shown.version,
        "changed_at": shown.changed_at,
        "changed_by": shown.changed_by,
    }


def version(row: Row[Any]) -> dict[str, Any]:
    return {
        **row.settings,
        "version": row.version,
        "changed_at": row.changed_at,
        "changed_by": row.changed_by,
    }


def activity(row: Row[Any], spaces: Workspaces) -> dict[str, Any]:
    person = {"referral_factory_id": row.referral_factory_id, "code": row.code, "email": row.email}
    return {**columns(row), "person": person, "contact": contact(row, spaces)}


def event(row: Row[Any]) -> dict[str, Any]:
    """A settled event has no next attempt, nor has one that waits for a vendor as a whole."""
    waits = row.status in ("received", "retrying") and row.held_by is None
    return {**columns(row), "next_attempt_at": row.next_attempt_at if waits else None}


def reconcile(row: Row[Any]) -> dict[str, Any]:
    of = "workspace" if row.kind == reconciles.INTERCOM else "program"
    return {**columns(row), "scope": f"{of}:{row.connection_id}"}


def person(row: Row[Any], spaces: Workspaces) -> dict[str, Any]:
    return {
        "id": row.id,
        "campaign_id": row.campaign_id,
        "audience": row.audience,
        "referral_factory": {
            "id": row.referral_factory_id,
            "code": row.code,
            "email": row.email,
            "first_name": row.first_name,
            "url": row.url,
        },
        "contact": contact(row, spaces),
        "qualification": {
            "state": row.qualification_state,
            "since": row.qualification_since,
            "cause": Cause.JOINED_BEFORE_SETUP if row.joined_before_setup else row.qualification_cause,
        },
    }


def moment(one: Moment) -> dict[str, Any]:
    """One line of a person's timeline."""
    row = columns(one.row)
    if one.kind == "activity":
        return {**row, "kind": one.kind, "topic": None, "status": None}
    unknown: dict[str, Any] = {"verb": None, "outcome": None, "fields": []}
    return {**row, **unknown, "kind": one.kind, "at": one.at, "event_id": row["id"], "detail": row["error"]}


def preview(previewed: Preview) -> dict[str, Any]:
    """``contact`` as it would be written; where it is there already, its role and email are what stands there."""
    return {
        "decision": previewed.decision,
        "cause": previewed.cause,
        "detail": previewed.detail,
        "contact": _previewed_contact(previewed),
        "fields": [{"to": one.to, "value": one.value, "cause": one.cause} for one in previewed.fields],
    }


def _previewed_contact(previewed: Preview) -> dict[str, Any] | None:
    there, values = previewed.contact, previewed.draft.values if previewed.draft else {}
    if there is None and previewed.draft is None:
        return None
    return {
        "role": role_of(previewed),
        "email": values.get("email") or (there.email if there else None),
        "name": values.get("name") or (there.name if there else None),
        "custom_attributes": {
            path.removeprefix(CUSTOM): value for path, value in values.items() if path.startswith(CUSTOM)
        },
    }


def sync(row: Row[Any]) -> dict[str, Any]:
    """A run. Of a later look it is not known how far it is: the counts are of all looks together."""
    going_on = row.state in (syncs.QUEUED, syncs.RUNNING) and row.look <= 1
    left = seconds_left(total=row.total, looked_at=row.looked_at, busy_seconds=row.busy_seconds)
    counts = {name: row._mapping[name] for name in syncs.COUNTS}
    return {
        **columns(row),
        "progress": {**counts, "total": row.total, "seen": row.looked_at},
        "seconds_left": left if going_on else None,
        "next_run_at": row.due_at if row.state == syncs.WATCHING else None,
    }


def sync_preview(previewed: SyncPreview) -> dict[str, Any]:
    return asdict(previewed)
