"""Who may come in, by which way, and what they changed."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, Text, false

from app.storage.tables.columns import Moment, Number, number_id, partial_index, table

users = table(
    "users",
    number_id(),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("owner", Boolean, nullable=False),
    # The right to manage integrations. An owner has it without this.
    Column("may_manage", Boolean, nullable=False, server_default=false()),
    Column("created_at", Moment, nullable=False),
    # Their name stays in what they did; they don't come in.
    Column("removed_at", Moment),
)

OWNERS = "owner IS TRUE AND removed_at IS NULL"

Index("ix_users_owners", users.c.id, **partial_index(OWNERS))

sessions = table(
    "sessions",
    number_id(),
    # Of the random token that the browser holds.
    Column("token_digest", Text, nullable=False, unique=True),
    Column("user_id", Number, ForeignKey("users.id"), nullable=False),
    # What the browser says it is, cut short: people know their own by it.
    Column("browser", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    # To the minute or so: it is not written with every page.
    Column("seen_at", Moment, nullable=False),
    Column("ended_at", Moment),
)

Index("ix_sessions_open", sessions.c.user_id, sessions.c.id, **partial_index("ended_at IS NULL"))

Index("ix_sessions_seen", sessions.c.seen_at)

invitations = table(
    # Links that let somebody choose a password, once: a newcomer, or who is to come in again.
    "invitations",
    number_id(),
    Column("token_digest", Text, nullable=False, unique=True),
    Column("email", Text, nullable=False),
    # Who is to come in again; null for a newcomer.
    Column("user_id", Number, ForeignKey("users.id")),
    # The rights it brings. A link that brings neither leaves those that somebody has.
    Column("owner", Boolean, nullable=False),
    Column("may_manage", Boolean, nullable=False),
    # Null: made by the command, by whoever runs the installation.
    Column("made_by", Number, ForeignKey("users.id")),
    Column("created_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("withdrawn_at", Moment),
)

OPEN_INVITATION = "used_at IS NULL AND withdrawn_at IS NULL"

Index("ix_invitations_open", invitations.c.email, invitations.c.id, **partial_index(OPEN_INVITATION))

api_tokens = table(
    "api_tokens",
    number_id(),
    Column("token_digest", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    # Whose rights it has, as they are at each use.
    Column("user_id", Number, ForeignKey("users.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("revoked_at", Moment),
)

Index("ix_api_tokens_user", api_tokens.c.user_id, api_tokens.c.id)

Index("ix_api_tokens_open", api_tokens.c.id, **partial_index("revoked_at IS NULL"))

sign_in_attempts = table(
    # How often a sign-in was tried of late, by account and by address. Counted before the password is looked at.
    "sign_in_attempts",
    # A digest: addresses and mistyped emails are somebody's.
    Column("key", Text, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("until", Moment, nullable=False),
)

Index("ix_sign_in_attempts_until", sign_in_attempts.c.until)

audit_log = table(
    # Who changed what, in the transaction of the change. Secrets never stand here.
    "audit_log",
    number_id(),
    Column("at", Moment, nullable=False),
    # The person's email, and the API token where it was done through one.
    Column("person", Text, nullable=False),
    Column("through", Text),
    Column("kind", Text, nullable=False),
    # What was changed: "campaign:12", with its name as it was then.
    Column("subject", Text, nullable=False),
    Column("name", Text),
    Column("before", JSON, nullable=False),
    Column("after", JSON, nullable=False),
)

Index("ix_audit_log_person", audit_log.c.person, audit_log.c.id)

Index("ix_audit_log_kind", audit_log.c.kind, audit_log.c.id)

Index("ix_audit_log_person_kind", audit_log.c.person, audit_log.c.kind, audit_log.c.id)
