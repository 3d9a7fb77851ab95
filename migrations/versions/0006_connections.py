"""Since when a connection is in its state, and when webhooks came last"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")

HEARD = """
INSERT INTO webhooks_heard (scope, topic, at)
SELECT CASE WHEN campaign_id IS NULL THEN 'workspace:' || workspace_id ELSE 'campaign:' || campaign_id END,
       topic, max(received_at)
FROM events WHERE origin = 'webhook' GROUP BY 1, 2
"""


def upgrade() -> None:
    for table in ("workspaces", "programs"):
        op.add_column(table, sa.Column("state_since", MOMENT, nullable=True))
    op.create_table(
        "webhooks_heard",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("scope", "topic", name=op.f("pk_webhooks_heard")),
        sqlite_autoincrement=True,
    )
    op.execute(HEARD)


def downgrade() -> None:
    op.drop_table("webhooks_heard")
    for table in ("programs", "workspaces"):
        op.drop_column(table, "state_since")
