"""The inbox, and who is at work on whom."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Text

from app.storage.tables.columns import Moment, Number, number_id, partial_index, table

OPEN = "status IN ('received', 'retrying', 'processing')"

DUE = "status IN ('received', 'retrying') AND held_by IS NULL"

events = table(
    "events",
    number_id(),
    # What is the same event: a digest of source, scope and the sender's id (or the content).
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("topic", Text, nullable=False),
    # Who brought it: a webhook, or work of our own that goes the way of an event (app.storage.inbox says which).
    Column("origin", Text, nullable=False, server_default="webhook"),
    Column("workspace_id", Number, nullable=False),
    Column("campaign_id", Number),
    # The backfill that sends this person, if one does.
    Column("sync_id", Number),
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

Index("ix_events_due", events.c.next_attempt_at, events.c.id, **partial_index(DUE))

Index("ix_events_open_person", events.c.person_key, events.c.id, **partial_index(OPEN))

Index("ix_events_leased", events.c.lease_until, **partial_index("status = 'processing'"))

Index("ix_events_held", events.c.held_by, **partial_index("held_by IS NOT NULL"))

Index("ix_events_status", events.c.status, events.c.id)

Index("ix_events_source", events.c.source, events.c.id)

Index("ix_events_topic", events.c.topic, events.c.id)

Index("ix_events_settled", events.c.settled_at, **partial_index("status = 'done'"))

Index("ix_events_open_sync", events.c.sync_id, **partial_index(f"sync_id IS NOT NULL AND {OPEN}"))

Index("ix_events_dead", events.c.cause, events.c.id, **partial_index("status = 'dead'"))

# Strangers' changes are the bulk of a busy workspace's webhooks, and are removed long before the others.
Index("ix_events_strangers", events.c.settled_at, **partial_index("cause = 'not_a_tracked_lead'"))

person_leases = table(
    "person_leases",
    Column("person_key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", Moment, nullable=False),
)

webhooks_heard = table(
    # When a webhook of a topic came last, to some seconds: the events themselves are removed in time.
    "webhooks_heard",
    # "workspace:1" or "campaign:1".
    Column("scope", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("at", Moment, nullable=False),
)
