"""What the overview counts beforehand, and problems by cause"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
DEAD = sa.text("status = 'dead'")


def upgrade() -> None:
    marks = op.create_table(
        "count_marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("looked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_count_marks")),
        sqlite_autoincrement=True,
    )
    # What is there already is counted by the workers, a thousand rows a transaction, beside their work.
    op.bulk_insert(marks, [{"name": "activity", "position": 0}, {"name": "events", "position": 0}])
    op.create_table(
        "activity_hours",
        sa.Column("hour", MOMENT, nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "verb", "outcome", name=op.f("pk_activity_hours")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "event_hours",
        sa.Column("hour", MOMENT, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "source", name=op.f("pk_event_hours")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "problems",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("activity_id", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["activity.id"], name=op.f("fk_problems_activity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problems")),
        sa.UniqueConstraint("who", "verb", "cause", name=op.f("uq_problems_who_verb_cause")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_problems_cause", "problems", ["cause", "id"], unique=False)
    op.create_index("ix_problems_activity", "problems", ["activity_id"], unique=False)
    op.create_index(
        "ix_people_funnel",
        "people",
        ["campaign_id", "audience", "qualification_state", "contact_id"],
        unique=False,
    )
    op.create_index(
        "ix_events_dead", "events", ["cause", "id"], unique=False, sqlite_where=DEAD, postgresql_where=DEAD
    )


def downgrade() -> None:
    op.drop_index("ix_events_dead", "events", sqlite_where=DEAD, postgresql_where=DEAD)
    op.drop_index("ix_people_funnel", "people")
    for table in ("problems", "event_hours", "activity_hours", "count_marks"):
        op.drop_table(table)
