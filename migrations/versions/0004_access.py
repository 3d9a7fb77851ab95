"""Rights, sessions, invitations, API tokens, counted sign-ins and the audit log"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    op.add_column("users", sa.Column("may_manage", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("users", sa.Column("removed_at", MOMENT, nullable=True))
    _partial_index("ix_users_owners", "users", ["id"], "owner IS TRUE AND removed_at IS NULL")
    op.create_table(
        "sessions",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("user_id", NUMBER, nullable=False),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_sessions_token_digest")),
        sqlite_autoincrement=True,
    )
    _partial_index("ix_sessions_open", "sessions", ["user_id", "id"], "ended_at IS NULL")
    op.create_index("ix_sessions_seen", "sessions", ["seen_at"], unique=False)
    op.create_table(
        "invitations",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("user_id", NUMBER, nullable=True),
        sa.Column("owner", sa.Boolean(), nullable=False),
        sa.Column("may_manage", sa.Boolean(), nullable=False),
        sa.Column("made_by", NUMBER, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_invitations_user_id")),
        sa.ForeignKeyConstraint(["made_by"], ["users.id"], name=op.f("fk_invitations_made_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_invitations_token_digest")),
        sqlite_autoincrement=True,
    )
    _partial_index("ix_invitations_open", "invitations", ["email", "id"], "used_at IS NULL AND withdrawn_at IS NULL")
    op.create_table(
        "api_tokens",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_id", NUMBER, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_api_tokens_token_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_tokens_user", "api_tokens", ["user_id", "id"], unique=False)
    _partial_index("ix_api_tokens_open", "api_tokens", ["id"], "revoked_at IS NULL")
    op.create_table(
        "sign_in_attempts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_attempts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sign_in_attempts_until", "sign_in_attempts", ["until"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("through", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_person", "audit_log", ["person", "id"], unique=False)
    op.create_index("ix_audit_log_kind", "audit_log", ["kind", "id"], unique=False)
    op.create_index("ix_audit_log_person_kind", "audit_log", ["person", "kind", "id"], unique=False)


def downgrade() -> None:
    for table in ("audit_log", "sign_in_attempts", "api_tokens", "invitations", "sessions"):
        op.drop_table(table)
    op.drop_index("ix_users_owners", table_name="users")
    op.drop_column("users", "removed_at")
    op.drop_column("users", "may_manage")
