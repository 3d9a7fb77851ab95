"""Work over many people, and work that recurs."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, Text, UniqueConstraint

from app.storage.tables.columns import Moment, Number, number_id, partial_index, table

reconciles = table(
    # What was missed is looked for again and again; one row each time, for people to see.
    "reconciles",
    number_id(),
    Column("kind", Text, nullable=False),
    # A workspace's id for Intercom, a program's for Referral Factory.
    Column("connection_id", Number, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("looked_at", Integer, nullable=False),
    Column("found", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    # Why it ended, or can't go on, without having been whole.
    Column("cause", Text),
)

Index("ix_reconciles_started", reconciles.c.started_at)

reconcile_turns = table(
    # Where the reconcile of a connection stands, and when the next is due. One row a connection.
    "reconcile_turns",
    Column("kind", Text, primary_key=True),
    Column("connection_id", Number, primary_key=True),
    # A lease too, while one is going on: whoever does a step moves it forward.
    Column("due_at", Moment, nullable=False),
    # The reconcile that is going on; null between two.
    Column("reconcile_id", Number),
    Column("begun_at", Moment),
    # How it goes: changed (contacts changed lately), open (watched leads by id) or list (everybody of a program).
    Column("way", Text),
    # The page to be read next, and digests of those that were asked for.
    Column("cursor", Text),
    Column("seen", JSON, nullable=False),
    # Of whom a program's list says what no webhook has told, each with the reconcile that saw it first: the webhook
    # may be on its way, so the next one counts.
    Column("unheard", JSON, nullable=False),
    # The person after whom the next step goes on.
    Column("position", Number, nullable=False),
    # How many steps were kept: who comes late with a step that another has done keeps nothing.
    Column("steps", Integer, nullable=False),
    # Up to when everything is known: a change before this moment was looked at. Null: nothing yet.
    Column("known_until", Moment),
    # When all watched leads are to be looked at by id again, whatever search shows.
    Column("all_due_at", Moment),
)

syncs = table(
    # Runs over many people: a sync's contacts into a campaign, a backfill's people into Intercom.
    "syncs",
    number_id(),
    Column("kind", Text, nullable=False),
    Column("campaign_id", Number, ForeignKey("campaigns.id"), nullable=False),
    Column("workspace_id", Number, nullable=False),
    Column("program_id", Number, nullable=False),
    # Whom a backfill sends; a sync makes referrers.
    Column("audience", Text, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    # In the wire form of schemas.syncs; empty for a backfill.
    Column("settings", JSON, nullable=False),
    # queued, running, paused, completed, cancelled, failed, watching
    Column("state", Text, nullable=False),
    Column("cause", Text),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    # A lease too, while it is running: whoever does a page moves it forward. For one that watches, its next look.
    Column("due_at", Moment, nullable=False),
    # An ongoing one looks again and again; 1 is the first time.
    Column("look", Integer, nullable=False),
    Column("begun_at", Moment),
    # Contacts that changed before this moment were looked at. Null: nobody yet.
    Column("known_until", Moment),
    # The page to be read next, and digests of those that were asked for.
    Column("cursor", Text),
    Column("seen_cursors", JSON, nullable=False),
    # The person after whom a backfill's next page goes on. In a dry run of a sync 1 once it knows what Referral
    # Factory's list says; until then the cursor is of that list.
    Column("position", Number, nullable=False),
    # How many pages were kept: who comes late with a page that another has done keeps nothing.
    Column("steps", Integer, nullable=False),
    # How long pages took, waits for budgets included: what is left is estimated by it.
    Column("busy_seconds", Float, nullable=False),
    Column("total", Integer),
    *(
        Column(name, Integer, nullable=False)
        for name in ("looked_at", "added", "existing", "updated", "skipped", "failed", "written_back")
    ),
)

Index("ix_syncs_campaign", syncs.c.campaign_id, syncs.c.id)

Index("ix_syncs_due", syncs.c.due_at, **partial_index("state IN ('queued', 'running', 'watching')"))

Index("ix_syncs_workspace", syncs.c.workspace_id, **partial_index("state IN ('queued', 'running', 'watching')"))

sync_outcomes = table(
    # One row a contact (of a backfill: a person), whatever became of it.
    "sync_outcomes",
    number_id(),
    Column("sync_id", Number, ForeignKey("syncs.id"), nullable=False),
    # A contact's id; in a backfill "person:<id>".
    Column("subject", Text, nullable=False),
    Column("contact_id", Text),
    Column("person_id", Number),
    Column("email", Text),
    # pending while a call is under way whose answer may never come; else added, existing, updated, skipped, failed.
    # listed is nobody's: a dry run's note of who is in the campaign.
    Column("outcome", Text, nullable=False),
    Column("cause", Text),
    Column("detail", Text),
    # Of the mapped values as they were carried over last: an ongoing sync carries what differs.
    Column("values_digest", Text),
    Column("at", Moment, nullable=False),
    UniqueConstraint("sync_id", "subject"),
)

Index("ix_sync_outcomes_sync", sync_outcomes.c.sync_id, sync_outcomes.c.id)

Index("ix_sync_outcomes_outcome", sync_outcomes.c.sync_id, sync_outcomes.c.outcome, sync_outcomes.c.id)

Index("ix_sync_outcomes_cause", sync_outcomes.c.sync_id, sync_outcomes.c.cause, sync_outcomes.c.id)

Index("ix_sync_outcomes_email", sync_outcomes.c.sync_id, sync_outcomes.c.email)

Index("ix_sync_outcomes_person", sync_outcomes.c.person_id, **partial_index("person_id IS NOT NULL"))

reservations = table(
    # Room under the account's user limit that a run has taken for the people it is about to enrol.
    "reservations",
    Column("sync_id", Number, ForeignKey("syncs.id"), primary_key=True),
    Column("program_id", Number, nullable=False),
    Column("campaign_id", Number, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("until", Moment, nullable=False),
)

schedules = table(
    "schedules",
    # Who moves the time forward does the work: once, however many workers there are.
    Column("name", Text, primary_key=True),
    Column("due_at", Moment, nullable=False),
)

Index("ix_reservations_program", reservations.c.program_id)
