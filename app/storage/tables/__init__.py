"""Every table, with the index each look-up uses. ``migrations/`` makes them; a test holds the two together."""

from __future__ import annotations

from app.storage.tables.access import api_tokens, audit_log, invitations, sessions, sign_in_attempts, users
from app.storage.tables.alerts import alerts
from app.storage.tables.columns import metadata
from app.storage.tables.connections import (
    attributes,
    audience_readings,
    audience_versions,
    campaigns,
    circuits,
    program_readings,
    programs,
    refusals,
    segments,
    workspaces,
)
from app.storage.tables.counts import activity_hours, count_marks, event_hours, problems
from app.storage.tables.erasures import erased_events, erased_names, erasure_keys, erasures
from app.storage.tables.events import events, person_leases, webhooks_heard
from app.storage.tables.people import activity, creations, links, observations, people, qualifications, watches
from app.storage.tables.runs import reconcile_turns, reconciles, reservations, schedules, sync_outcomes, syncs

__all__ = [
    "activity",
    "activity_hours",
    "alerts",
    "api_tokens",
    "attributes",
    "audience_readings",
    "audience_versions",
    "audit_log",
    "campaigns",
    "circuits",
    "count_marks",
    "creations",
    "erased_events",
    "erased_names",
    "erasure_keys",
    "erasures",
    "event_hours",
    "events",
    "invitations",
    "links",
    "metadata",
    "observations",
    "people",
    "person_leases",
    "problems",
    "program_readings",
    "programs",
    "qualifications",
    "reconcile_turns",
    "reconciles",
    "refusals",
    "reservations",
    "schedules",
    "segments",
    "sessions",
    "sign_in_attempts",
    "sync_outcomes",
    "syncs",
    "users",
    "watches",
    "webhooks_heard",
    "workspaces",
]
