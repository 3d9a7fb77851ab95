"""Syncs and backfills: runs over many people, and what became of each"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
BEFORE = sa.text("joined_before_setup IS TRUE AND sent_received_at IS NULL")
OPEN_SYNC = sa.text("sync_id IS NOT NULL AND status IN ('received', 'retrying', 'processing')")
GOING_ON = sa.text("state IN ('queued', 'running', 'watching')")


def upgrade() -> None:
    op.create_table(
        "syncs",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("program_id", NUMBER, nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.Column("begun_at", MOMENT, nullable=True),
        sa.Column("known_until", MOMENT, nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("seen_cursors", sa.JSON(), nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("busy_seconds", sa.Float(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("looked_at", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("existing", sa.Integer(), nullable=False),
        sa.Column("updated", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("written_back", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_syncs_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_syncs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_syncs_campaign", "syncs", ["campaign_id", "id"], unique=False)
    op.create_index(
        "ix_syncs_due", "syncs", ["due_at"], unique=False, sqlite_where=GOING_ON, postgresql_where=GOING_ON
    )
    op.create_index(
        "ix_syncs_workspace",
        "syncs",
        ["workspace_id"],
        unique=False,
        sqlite_where=GOING_ON,
        postgresql_where=GOING_ON,
    )

    op.create_table(
        "reservations",
        sa.Column("sync_id", NUMBER, nullable=False),
        sa.Column("program_id", NUMBER, nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["sync_id"], ["syncs.id"], name=op.f("fk_reservations_sync_id")),
        sa.PrimaryKeyConstraint("sync_id", name=op.f("pk_reservations")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reservations_program", "reservations", ["program_id"], unique=False)

    op.create_table(
        "sync_outcomes",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("sync_id", NUMBER, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=True),
        sa.Column("person_id", NUMBER, nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("values_digest", sa.Text(), nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["sync_id"], ["syncs.id"], name=op.f("fk_sync_outcomes_sync_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_outcomes")),
        sa.UniqueConstraint("sync_id", "subject", name=op.f("uq_sync_outcomes_sync_id_subject")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sync_outcomes_cause", "sync_outcomes", ["sync_id", "cause", "id"], unique=False)
    op.create_index("ix_sync_outcomes_email", "sync_outcomes", ["sync_id", "email"], unique=False)
    op.create_index("ix_sync_outcomes_outcome", "sync_outcomes", ["sync_id", "outcome", "id"], unique=False)
    op.create_index(
        "ix_sync_outcomes_person",
        "sync_outcomes",
        ["person_id"],
        unique=False,
        sqlite_where=sa.text("person_id IS NOT NULL"),
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    op.create_index("ix_sync_outcomes_sync", "sync_outcomes", ["sync_id", "id"], unique=False)

    op.add_column("people", sa.Column("enrolled_by", NUMBER, nullable=True))

    op.add_column("events", sa.Column("sync_id", NUMBER, nullable=True))
    op.create_index(
        "ix_people_before",
        "people",
        ["campaign_id", "audience", "id"],
        unique=False,
        sqlite_where=BEFORE,
        postgresql_where=BEFORE,
    )
    op.create_index(
        "ix_events_open_sync", "events", ["sync_id"], unique=False, sqlite_where=OPEN_SYNC, postgresql_where=OPEN_SYNC
    )
    op.add_column("programs", sa.Column("user_counts", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("programs", sa.Column("counted_at", MOMENT, nullable=True))


def downgrade() -> None:
    op.drop_index("ix_people_before", "people", sqlite_where=BEFORE, postgresql_where=BEFORE)
    op.drop_index("ix_events_open_sync", "events", sqlite_where=OPEN_SYNC, postgresql_where=OPEN_SYNC)
    op.drop_column("events", "sync_id")
    op.drop_column("programs", "counted_at")
    op.drop_column("programs", "user_counts")

    op.drop_column("people", "enrolled_by")

    op.drop_index("ix_sync_outcomes_sync", "sync_outcomes")
    op.drop_index(
        "ix_sync_outcomes_person",
        "sync_outcomes",
        sqlite_where=sa.text("person_id IS NOT NULL"),
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    op.drop_index("ix_sync_outcomes_outcome", "sync_outcomes")
    op.drop_index("ix_sync_outcomes_email", "sync_outcomes")
    op.drop_index("ix_sync_outcomes_cause", "sync_outcomes")

    op.drop_table("sync_outcomes")
    op.drop_index("ix_reservations_program", "reservations")

    op.drop_table("reservations")
    op.drop_index("ix_syncs_workspace", "syncs", sqlite_where=GOING_ON, postgresql_where=GOING_ON)
    op.drop_index("ix_syncs_due", "syncs", sqlite_where=GOING_ON, postgresql_where=GOING_ON)
    op.drop_index("ix_syncs_campaign", "syncs")

    op.drop_table("syncs")
