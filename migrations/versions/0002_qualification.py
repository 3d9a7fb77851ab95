"""Qualification: what was seen of watched leads, calls that qualify, and reconciles"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
WATCHED = sa.text("audience = 'leads' AND qualification_state = 'open' AND contact_id IS NOT NULL")
STRANGERS = sa.text("cause = 'not_a_tracked_lead'")


def upgrade() -> None:
    op.create_table(
        "reconcile_turns",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("connection_id", NUMBER, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("reconcile_id", NUMBER, nullable=True),
        sa.Column("begun_at", MOMENT, nullable=True),
        sa.Column("way", sa.Text(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("unheard", sa.JSON(), nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("known_until", MOMENT, nullable=True),
        sa.Column("all_due_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("kind", "connection_id", name=op.f("pk_reconcile_turns")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "reconciles",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("connection_id", NUMBER, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("looked_at", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciles")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reconciles_started", "reconciles", ["started_at"], unique=False)

    op.create_table(
        "observations",
        sa.Column("person_id", NUMBER, nullable=False),
        sa.Column("attribute", sa.Text(), nullable=False),
        sa.Column("value_key", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_in", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_observations_person_id")),
        sa.PrimaryKeyConstraint("person_id", "attribute", "value_key", name=op.f("pk_observations")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "qualifications",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("person_id", NUMBER, nullable=False),
        sa.Column("event_id", NUMBER, nullable=True),
        sa.Column("qualified", sa.Boolean(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=True),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.Column("attempted_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_qualifications_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qualifications")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_qualifications_person", "qualifications", ["person_id", "id"], unique=False)

    op.create_table(
        "watches",
        sa.Column("person_id", NUMBER, nullable=False),
        sa.Column("attribute", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("contact_is_new", sa.Boolean(), nullable=False),
        sa.Column("begun_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_watches_person_id")),
        sa.PrimaryKeyConstraint("person_id", "attribute", name=op.f("pk_watches")),
        sqlite_autoincrement=True,
    )
    op.add_column("events", sa.Column("origin", sa.Text(), server_default="webhook", nullable=False))
    op.create_index(
        "ix_events_strangers",
        "events",
        ["settled_at"],
        unique=False,
        sqlite_where=STRANGERS,
        postgresql_where=STRANGERS,
    )

    op.add_column("people", sa.Column("joined_received_at", MOMENT, nullable=True))
    op.add_column("people", sa.Column("swept_in", NUMBER, nullable=True))
    op.create_index("ix_people_code", "people", ["campaign_id", "code"], unique=False)
    op.create_index(
        "ix_people_watched",
        "people",
        ["workspace_id", "id"],
        unique=False,
        sqlite_where=WATCHED,
        postgresql_where=WATCHED,
    )
    op.create_index(
        "ix_people_watched_campaign",
        "people",
        ["campaign_id", "audience", "id"],
        unique=False,
        sqlite_where=WATCHED,
        postgresql_where=WATCHED,
    )

    # What is known of people who were sent before there was anything to watch.
    op.execute("UPDATE people SET joined_received_at = sent_received_at")
    op.execute(
        "UPDATE people SET qualification_state = 'closed', qualification_cause = 'existed_before_and_not_updated' "
        "WHERE audience = 'leads' AND qualification_cause = 'duplicate_skipped'"
    )


def downgrade() -> None:
    op.drop_index("ix_people_watched_campaign", "people", sqlite_where=WATCHED, postgresql_where=WATCHED)
    op.drop_index("ix_people_watched", "people", sqlite_where=WATCHED, postgresql_where=WATCHED)
    op.drop_index("ix_people_code", "people")
    op.drop_column("people", "swept_in")
    op.drop_column("people", "joined_received_at")

    op.drop_index("ix_events_strangers", "events", sqlite_where=STRANGERS, postgresql_where=STRANGERS)
    op.drop_column("events", "origin")

    op.drop_table("watches")
    op.drop_index("ix_qualifications_person", "qualifications")

    op.drop_table("qualifications")
    op.drop_table("observations")
    op.drop_index("ix_reconciles_started", "reconciles")

    op.drop_table("reconciles")
    op.drop_table("reconcile_turns")
