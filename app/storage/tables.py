"""Every table, with the index each look-up uses. ``migrations/`` makes them; a test holds the two together.

Ids are whole numbers, given by the database in the order of insertion, and text in the API. Times are aware UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware UTC time: ``timestamptz`` on PostgreSQL; on SQLite, which has no type for it, microseconds."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return int(value.timestamp() * 1_000_000)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        return datetime.fromtimestamp(value / 1_000_000, UTC)


# SQLite gives automatic numbers to INTEGER keys only.
Number = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", Number, primary_key=True, autoincrement=True)


def _table(name: str, *parts: Any) -> Table:
    return Table(name, metadata, *parts, sqlite_autoincrement=True)


def _partial(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


users = _table(
    "users",
    _id(),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("owner", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
)

workspaces = _table(
    "workspaces",
    _id(),
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
    Column("missing_permissions", JSON, nullable=False),
    Column("refreshed_at", Moment),
    Column("created_at", Moment, nullable=False),
)

attributes = _table(
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

segments = _table(
    "segments",
    Column("workspace_id", Number, ForeignKey("workspaces.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("person_type", Text, nullable=False),
    Column("count", Integer),
)

programs = _table(
    "programs",
    _id(),
    Column("name", Text, nullable=False),
    Column("token", Text),
    Column("token_digest", Text, unique=True),
    Column("user_limit", Integer),
    Column("state", Text, nullable=False),
    Column("state_cause", Text),
    Column("created_at", Moment, nullable=False),
)

campaigns = _table(
    "campaigns",
    _id(),
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

audience_versions = _table(
    "audience_versions",
    _id(),
    Column("campaign_id", Number, ForeignKey("campaigns.id"), nullable=False),
    Column("audience", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("changed_by", Text, nullable=False),
    UniqueConstraint("campaign_id", "audience", "version"),
)

audience_readings = _table(
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

program_readings = _table(
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

OPEN = "status IN ('received', 'retrying', 'processing')"
DUE = "status IN ('received', 'retrying') AND held_by IS NULL"

events = _table(
    "events",
    _id(),
    # What is the same event: a digest of source, scope and the sender's id (or the content).
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("workspace_id", Number, nullable=False),
    Column("campaign_id", Number),
    # Whom it is about; events of one key are worked on one at a time, in order.
    Column("person_key", Text),
    Column("content_type", Text, nullable=False),
    Column("payload", LargeBinary),
    Column("status", Text, nullable=False),
    Column("cause", Text),
    Column("error", Text),
    Column("attempts", Integer, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("settled_at", Moment),
    Column("next_attempt_at", Moment),
    # What it waits for as a whole: a workspace, a program or a vendor that is away. Costs no attempt.
    Column("held_by", Text),
    Column("lease_owner", Text),
    Column("lease_until", Moment),
)
Index("ix_events_due", events.c.next_attempt_at, events.c.id, **_partial(DUE))
Index("ix_events_open_person", events.c.person_key, events.c.id, **_partial(OPEN))
Index("ix_events_leased", events.c.lease_until, **_partial("status = 'processing'"))
Index("ix_events_held", events.c.held_by, **_partial("held_by IS NOT NULL"))
Index("ix_events_status", events.c.status, events.c.id)
Index("ix_events_source", events.c.source, events.c.id)
Index("ix_events_topic", events.c.topic, events.c.id)
Index("ix_events_settled", events.c.settled_at, **_partial("status = 'done'"))

person_leases = _table(
    "person_leases",
    Column("person_key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", Moment, nullable=False),
)

links = _table(
    "links",
    Column("person_key", Text, primary_key=True),
    Column("workspace_id", Number, nullable=False),
    Column("email", Text, nullable=False),
    Column("contact_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    # For which campaign and audience we made the contact; null where it was there before us.
    Column("made_for_campaign_id", Number),
    Column("made_for_audience", Text),
    Column("linked_at", Moment, nullable=False),
)
Index("ix_links_contact", links.c.workspace_id, links.c.contact_id)

creations = _table(
    "creations",
    _id(),
    Column("person_key", Text, nullable=False),
    Column("workspace_id", Number, nullable=False),
    Column("campaign_id", Number, nullable=False),
    Column("audience", Text, nullable=False),
    Column("event_id", Number),
    Column("role", Text, nullable=False),
    Column("attempted_at", Moment, nullable=False),
    # Null while the outcome is not known.
    Column("outcome", Text),
    Column("contact_id", Text),
)
Index("ix_creations_person", creations.c.person_key, creations.c.id)

people = _table(
    "people",
    _id(),
    Column("campaign_id", Number, ForeignKey("campaigns.id"), nullable=False),
    Column("audience", Text, nullable=False),
    Column("workspace_id", Number, nullable=False),
    Column("person_key", Text),
    Column("referral_factory_id", Text),
    Column("code", Text),
    Column("email", Text),
    Column("first_name", Text),
    Column("url", Text),
    # What Referral Factory said of them, by the names of app.core.people.PERSON_FIELDS.
    Column("values", JSON, nullable=False),
    Column("contact_id", Text),
    Column("contact_role", Text),
    # When the event that was sent last was received: an older one does not overwrite it.
    Column("sent_received_at", Moment),
    # True: they joined before the audience was set up, and a reconcile leaves them alone. False: a webhook of theirs
    # was worked on with a complete setup, which stands. Null: nobody has said.
    Column("joined_before_setup", Boolean),
    Column("qualification_state", Text, nullable=False),
    Column("qualification_since", Moment),
    Column("qualification_cause", Text),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("campaign_id", "audience", "referral_factory_id"),
)
Index("ix_people_email", people.c.email, people.c.id)
Index("ix_people_campaign_email", people.c.campaign_id, people.c.audience, people.c.email)
Index("ix_people_campaign", people.c.campaign_id, people.c.id)
Index("ix_people_person", people.c.person_key)
Index("ix_people_contact", people.c.workspace_id, people.c.contact_id)

activity = _table(
    "activity",
    _id(),
    Column("at", Moment, nullable=False),
    Column("campaign_id", Number, nullable=False),
    Column("audience", Text),
    Column("verb", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("cause", Text),
    Column("detail", Text),
    Column("referral_factory_id", Text),
    Column("code", Text),
    Column("email", Text),
    Column("workspace_id", Number, nullable=False),
    Column("contact_id", Text),
    Column("contact_role", Text),
    Column("fields", JSON, nullable=False),
    Column("event_id", Number),
    Column("sync_id", Number),
)
Index("ix_activity_at", activity.c.at)
Index("ix_activity_campaign", activity.c.campaign_id, activity.c.id)
Index("ix_activity_email", activity.c.email, activity.c.id)
Index("ix_activity_event", activity.c.event_id, **_partial("event_id IS NOT NULL"))
Index("ix_activity_sync", activity.c.sync_id, activity.c.id, **_partial("sync_id IS NOT NULL"))
Index("ix_activity_cause", activity.c.cause, activity.c.id, **_partial("cause IS NOT NULL"))
Index("ix_activity_outcome", activity.c.outcome, activity.c.id)
Index("ix_activity_verb", activity.c.verb, activity.c.id)

circuits = _table(
    "circuits",
    # What is away: a vendor of one connection, or one of its permissions. Only open ones are kept.
    Column("name", Text, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("every_seconds", Integer, nullable=False),
    Column("probe_at", Moment, nullable=False),
)

schedules = _table(
    "schedules",
    # Who moves the time forward does the work: once, however many workers there are.
    Column("name", Text, primary_key=True),
    Column("due_at", Moment, nullable=False),
)

refusals = _table(
    "refusals",
    Column("workspace_id", Number, primary_key=True),
    Column("path", Text, primary_key=True),
    # A digest: a value may be somebody's.
    Column("value_digest", Text, primary_key=True),
    Column("until", Moment, nullable=False),
)
