"""Who was erased on request: that it was done, and as little as lets them be passed by. It names nobody."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Text

from app.storage.tables.columns import Moment, Number, number_id, partial_index, table

erasure_keys = table(
    # The key of all digests below, one row: random, sealed like a token, and never another, whatever else is rotated.
    "erasure_keys",
    number_id(),
    Column("sealed", Text, nullable=False),
)

erasures = table(
    "erasures",
    number_id(),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("workspace_id", Number, nullable=False),
    # What is looked for until all is done, sealed; null after that.
    Column("names", Text),
    # Where the work stands: what is being gone through, and after which row it goes on. Null when all is done.
    Column("stage", Text),
    Column("position", Number, nullable=False),
    # A lease too: whoever goes on with it moves it forward.
    Column("due_at", Moment, nullable=False),
    Column("finished_at", Moment),
)

Index("ix_erasures_open", erasures.c.due_at, **partial_index("finished_at IS NULL"))

erased_names = table(
    # By what an erased person is known again, as digests with the key above: email and contact of a workspace, id and
    # code of a campaign.
    "erased_names",
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("erasure_id", Number, ForeignKey("erasures.id"), nullable=False),
)

Index("ix_erased_names_erasure", erased_names.c.erasure_id)

erased_events = table(
    # Which events were removed, as digests of what made each the same as another: a vendor that delivers one of them
    # again brings nobody back. Removed when no vendor would.
    "erased_events",
    Column("digest", Text, primary_key=True),
    Column("event_id", Number, nullable=False),
    Column("at", Moment, nullable=False),
)

Index("ix_erased_events_at", erased_events.c.at)
