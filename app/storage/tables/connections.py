"""Workspaces, programs and campaigns: what is connected, what is known of it, and how it was set up."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, Text, UniqueConstraint

from app.storage.tables.columns import Moment, Number, number_id, table

workspaces = table(
    "workspaces",
    number_id(),
    Column("app_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("token", Text),
    Column("token_digest", Text, unique=True),
    Column("client_secret", Text),
    Column("former_client_secret", Text),
    Column("former_until", Moment),
    Column("state", Text, nullable=False),
    Column("state_cause", Text),
    # Since when it is in this state; null where that was not kept yet.
    Column("state_since", Moment),
    Column("missing_permissions", JSON, nullable=False),
    Column("refreshed_at", Moment),
    Column("created_at", Moment, nullable=False),
)

attributes = table(
    "attributes",
    Column("workspace_id", Number, ForeignKey("workspaces.id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("options", JSON, nullable=False),
    Column("writable", Boolean, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("custom", Boolean, nullable=False),
    Column("multiline", Boolean, nullable=False),
)

segments = table(
    "segments",
    Column("workspace_id", Number, ForeignKey("workspaces.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("person_type", Text, nullable=False),
    Column("count", Integer),
)

programs = table(
    "programs",
    number_id(),
    Column("name", Text, nullable=False),
    Column("token", Text),
    Column("token_digest", Text, unique=True),
    Column("user_limit", Integer),
    # How many users Referral Factory said each of its campaigns has, by its id, and those enrolled here since.
    Column("user_counts", JSON, nullable=False, server_default="{}"),
    Column("counted_at", Moment),
    Column("state", Text, nullable=False),
    Column("state_cause", Text),
    Column("state_since", Moment),
    Column("created_at", Moment, nullable=False),
)

campaigns = table(
    "campaigns",
    number_id(),
    Column("program_id", Number, ForeignKey("programs.id"), nullable=False),
    Column("workspace_id", Number, ForeignKey("workspaces.id"), nullable=False),
    Column("referral_factory_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("code", Text),
    Column("status", Text),
    Column("fields", JSON, nullable=False),
    Column("webhook_key", Text, nullable=False, unique=True),
    Column("webhook_secret", Text, nullable=False),
    Column("former_secret", Text),
    Column("former_until", Moment),
    Column("user_limit", Integer),
    Column("extended_types", Boolean, nullable=False),
    Column("crm_fields", JSON, nullable=False),
    Column("archived_at", Moment),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("program_id", "referral_factory_id"),
)

Index("ix_campaigns_workspace", campaigns.c.workspace_id)

audience_versions = table(
    "audience_versions",
    number_id(),
    Column("campaign_id", Number, ForeignKey("campaigns.id"), nullable=False),
    Column("audience", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("changed_by", Text, nullable=False),
    UniqueConstraint("campaign_id", "audience", "version"),
)

audience_readings = table(
    # One row an audience, made when it is first complete: its people are read once, whole.
    "audience_readings",
    Column("campaign_id", Number, ForeignKey("campaigns.id"), primary_key=True),
    Column("audience", Text, primary_key=True),
    Column("asked_at", Moment, nullable=False),
    # Of its program's reading; null while it waits for the next.
    Column("begun_at", Moment),
    Column("ended_at", Moment),
    # Why it ended without having been whole.
    Column("cause", Text),
)

program_readings = table(
    # A list of everybody that is being read, one a program: it serves all audiences that were waiting as it began.
    "program_readings",
    Column("program_id", Number, ForeignKey("programs.id"), primary_key=True),
    Column("begun_at", Moment, nullable=False),
    # The page to be read next; null is the first.
    Column("cursor", Text),
    # Digests of the cursors that were asked for, so that a circle is noticed.
    Column("seen", JSON, nullable=False),
    # How many steps were kept: who comes late with a page that another has read keeps nothing.
    Column("steps", Integer, nullable=False),
    # A lease too: whoever reads a page moves it forward.
    Column("due_at", Moment, nullable=False),
    # Why the last page could not be read.
    Column("cause", Text),
)

circuits = table(
    "circuits",
    # What is away: a vendor of one connection, or one of its permissions. Only open ones are kept.
    Column("name", Text, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("every_seconds", Integer, nullable=False),
    Column("probe_at", Moment, nullable=False),
)

refusals = table(
    "refusals",
    Column("workspace_id", Number, primary_key=True),
    Column("path", Text, primary_key=True),
    # A digest: a value may be somebody's.
    Column("value_digest", Text, primary_key=True),
    Column("until", Moment, nullable=False),
)
