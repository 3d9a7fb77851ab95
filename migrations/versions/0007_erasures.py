"""That people were erased on request, and as little as lets them be passed by"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
OPEN = sa.text("finished_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "erasure_keys",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_keys")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "erasures",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("workspace_id", NUMBER, nullable=False),
        sa.Column("names", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_erasures_open", "erasures", ["due_at"], unique=False, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_table(
        "erased_names",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("erasure_id", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name=op.f("fk_erased_names_erasure_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erased_names")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_erased_names_erasure", "erased_names", ["erasure_id"], unique=False)
    op.create_table(
        "erased_events",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("event_id", NUMBER, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erased_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_erased_events_at", "erased_events", ["at"], unique=False)


def downgrade() -> None:
    for table in ("erased_events", "erased_names", "erasures", "erasure_keys"):
        op.drop_table(table)
