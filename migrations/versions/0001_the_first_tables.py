"""The first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite numbers INTEGER keys only, and has no type for times: microseconds since 1970 there.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "activity",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("audience", sa.Text(), nullable=True),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("referral_factory_id", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=True),
        sa.Column("contact_role", sa.Text(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("event_id", NUMBER, nullable=True),
        sa.Column("sync_id", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activity")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_activity_at", "activity", ["at"], unique=False)
    op.create_index("ix_activity_campaign", "activity", ["campaign_id", "id"], unique=False)
    op.create_index(
        "ix_activity_cause",
        "activity",
        ["cause", "id"],
        unique=False,
        sqlite_where=sa.text("cause IS NOT NULL"),
        postgresql_where=sa.text("cause IS NOT NULL"),
    )
    op.create_index("ix_activity_email", "activity", ["email", "id"], unique=False)
    op.create_index(
        "ix_activity_event",
        "activity",
        ["event_id"],
        unique=False,
        sqlite_where=sa.text("event_id IS NOT NULL"),
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )
    op.create_index("ix_activity_outcome", "activity", ["outcome", "id"], unique=False)
    op.create_index(
        "ix_activity_sync",
        "activity",
        ["sync_id", "id"],
        unique=False,
        sqlite_where=sa.text("sync_id IS NOT NULL"),
        postgresql_where=sa.text("sync_id IS NOT NULL"),
    )
    op.create_index("ix_activity_verb", "activity", ["verb", "id"], unique=False)
    op.create_table(
        "circuits",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("every_seconds", sa.Integer(), nullable=False),
        sa.Column("probe_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_circuits")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "creations",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("person_key", sa.Text(), nullable=False),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("event_id", NUMBER, nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("attempted_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("contact_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_creations")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_creations_person", "creations", ["person_key", "id"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=True),
        sa.Column("person_key", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_events_dedupe_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_events_due",
        "events",
        ["next_attempt_at", "id"],
        unique=False,
        sqlite_where=sa.text("status IN ('received', 'retrying') AND held_by IS NULL"),
        postgresql_where=sa.text("status IN ('received', 'retrying') AND held_by IS NULL"),
    )
    op.create_index(
        "ix_events_held",
        "events",
        ["held_by"],
        unique=False,
        sqlite_where=sa.text("held_by IS NOT NULL"),
        postgresql_where=sa.text("held_by IS NOT NULL"),
    )
    op.create_index(
        "ix_events_leased",
        "events",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("status = 'processing'"),
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.create_index(
        "ix_events_open_person",
        "events",
        ["person_key", "id"],
        unique=False,
        sqlite_where=sa.text("status IN ('received', 'retrying', 'processing')"),
        postgresql_where=sa.text("status IN ('received', 'retrying', 'processing')"),
    )
    op.create_index(
        "ix_events_settled",
        "events",
        ["settled_at"],
        unique=False,
        sqlite_where=sa.text("status = 'done'"),
        postgresql_where=sa.text("status = 'done'"),
    )
    op.create_index("ix_events_source", "events", ["source", "id"], unique=False)
    op.create_index("ix_events_status", "events", ["status", "id"], unique=False)
    op.create_index("ix_events_topic", "events", ["topic", "id"], unique=False)
    op.create_table(
        "links",
        sa.Column("person_key", sa.Text(), nullable=False),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("made_for_campaign_id", NUMBER, nullable=True),
        sa.Column("made_for_audience", sa.Text(), nullable=True),
        sa.Column("linked_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("person_key", name=op.f("pk_links")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_links_contact", "links", ["workspace_id", "contact_id"], unique=False)
    op.create_table(
        "person_leases",
        sa.Column("person_key", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("person_key", name=op.f("pk_person_leases")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "programs",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("token_digest", sa.Text(), nullable=True),
        sa.Column("user_limit", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_cause", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_programs")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_programs_token_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "refusals",
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("value_digest", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "path", "value_digest", name=op.f("pk_refusals")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "users",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("owner", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "workspaces",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("token_digest", sa.Text(), nullable=True),
        sa.Column("client_secret", sa.Text(), nullable=True),
        sa.Column("former_client_secret", sa.Text(), nullable=True),
        sa.Column("former_until", MOMENT, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_cause", sa.Text(), nullable=True),
        sa.Column("missing_permissions", sa.JSON(), nullable=False),
        sa.Column("refreshed_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
        sa.UniqueConstraint("app_id", name=op.f("uq_workspaces_app_id")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_workspaces_token_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "attributes",
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("writable", sa.Boolean(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("custom", sa.Boolean(), nullable=False),
        sa.Column("multiline", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_attributes_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", "path", name=op.f("pk_attributes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "campaigns",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("program_id", NUMBER, nullable=False),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("referral_factory_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("webhook_key", sa.Text(), nullable=False),
        sa.Column("webhook_secret", sa.Text(), nullable=False),
        sa.Column("former_secret", sa.Text(), nullable=True),
        sa.Column("former_until", MOMENT, nullable=True),
        sa.Column("user_limit", sa.Integer(), nullable=True),
        sa.Column("extended_types", sa.Boolean(), nullable=False),
        sa.Column("crm_fields", sa.JSON(), nullable=False),
        sa.Column("archived_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_campaigns_program_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_campaigns_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint(
            "program_id", "referral_factory_id", name=op.f("uq_campaigns_program_id_referral_factory_id")
        ),
        sa.UniqueConstraint("webhook_key", name=op.f("uq_campaigns_webhook_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_campaigns_workspace", "campaigns", ["workspace_id"], unique=False)
    op.create_table(
        "segments",
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("person_type", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_segments_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_segments")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audience_versions",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_audience_versions_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audience_versions")),
        sa.UniqueConstraint(
            "campaign_id", "audience", "version", name=op.f("uq_audience_versions_campaign_id_audience_version")
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "program_readings",
        sa.Column("program_id", NUMBER, nullable=False),
        sa.Column("begun_at", MOMENT, nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_program_readings_program_id")),
        sa.PrimaryKeyConstraint("program_id", name=op.f("pk_program_readings")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audience_readings",
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("begun_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_audience_readings_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "audience", name=op.f("pk_audience_readings")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "people",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("person_key", sa.Text(), nullable=True),
        sa.Column("referral_factory_id", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=True),
        sa.Column("contact_role", sa.Text(), nullable=True),
        sa.Column("sent_received_at", MOMENT, nullable=True),
        sa.Column("joined_before_setup", sa.Boolean(), nullable=True),
        sa.Column("qualification_state", sa.Text(), nullable=False),
        sa.Column("qualification_since", MOMENT, nullable=True),
        sa.Column("qualification_cause", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_people_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint(
            "campaign_id",
            "audience",
            "referral_factory_id",
            name=op.f("uq_people_campaign_id_audience_referral_factory_id"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_people_campaign", "people", ["campaign_id", "id"], unique=False)
    op.create_index("ix_people_campaign_email", "people", ["campaign_id", "audience", "email"], unique=False)
    op.create_index("ix_people_contact", "people", ["workspace_id", "contact_id"], unique=False)
    op.create_index("ix_people_email", "people", ["email", "id"], unique=False)
    op.create_index("ix_people_person", "people", ["person_key"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_people_person", table_name="people")
    op.drop_index("ix_people_email", table_name="people")
    op.drop_index("ix_people_contact", table_name="people")
    op.drop_index("ix_people_campaign_email", table_name="people")
    op.drop_index("ix_people_campaign", table_name="people")
    op.drop_table("people")
    op.drop_table("audience_readings")
    op.drop_table("program_readings")
    op.drop_table("audience_versions")
    op.drop_table("segments")
    op.drop_index("ix_campaigns_workspace", table_name="campaigns")
    op.drop_table("campaigns")
    op.drop_table("attributes")
    op.drop_table("workspaces")
    op.drop_table("users")
    op.drop_table("schedules")
    op.drop_table("refusals")
    op.drop_table("programs")
    op.drop_table("person_leases")
    op.drop_index("ix_links_contact", table_name="links")
    op.drop_table("links")
    op.drop_index("ix_events_topic", table_name="events")
    op.drop_index("ix_events_status", table_name="events")
    op.drop_index("ix_events_source", table_name="events")
    op.drop_index(
        "ix_events_settled",
        table_name="events",
        sqlite_where=sa.text("status = 'done'"),
        postgresql_where=sa.text("status = 'done'"),
    )
    op.drop_index(
        "ix_events_open_person",
        table_name="events",
        sqlite_where=sa.text("status IN ('received', 'retrying', 'processing')"),
        postgresql_where=sa.text("status IN ('received', 'retrying', 'processing')"),
    )
    op.drop_index(
        "ix_events_leased",
        table_name="events",
        sqlite_where=sa.text("status = 'processing'"),
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.drop_index(
        "ix_events_held",
        table_name="events",
        sqlite_where=sa.text("held_by IS NOT NULL"),
        postgresql_where=sa.text("held_by IS NOT NULL"),
    )
    op.drop_index(
        "ix_events_due",
        table_name="events",
        sqlite_where=sa.text("status IN ('received', 'retrying') AND held_by IS NULL"),
        postgresql_where=sa.text("status IN ('received', 'retrying') AND held_by IS NULL"),
    )
    op.drop_table("events")
    op.drop_index("ix_creations_person", table_name="creations")
    op.drop_table("creations")
    op.drop_table("circuits")
    op.drop_index("ix_activity_verb", table_name="activity")
    op.drop_index(
        "ix_activity_sync",
        table_name="activity",
        sqlite_where=sa.text("sync_id IS NOT NULL"),
        postgresql_where=sa.text("sync_id IS NOT NULL"),
    )
    op.drop_index("ix_activity_outcome", table_name="activity")
    op.drop_index(
        "ix_activity_event",
        table_name="activity",
        sqlite_where=sa.text("event_id IS NOT NULL"),
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )
    op.drop_index("ix_activity_email", table_name="activity")
    op.drop_index(
        "ix_activity_cause",
        table_name="activity",
        sqlite_where=sa.text("cause IS NOT NULL"),
        postgresql_where=sa.text("cause IS NOT NULL"),
    )
    op.drop_index("ix_activity_campaign", table_name="activity")
    op.drop_index("ix_activity_at", table_name="activity")
    op.drop_table("activity")
