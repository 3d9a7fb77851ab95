"""What is counted beforehand, so that the overview need not read what happened: kept by ``app.storage.counts``."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Text, UniqueConstraint

from app.storage.tables.columns import Moment, Number, number_id, table

count_marks = table(
    # How far a table's rows have been counted, by their ids: each row once. Moved in the counting's transaction.
    "count_marks",
    Column("name", Text, primary_key=True),
    Column("position", Number, nullable=False),
    # When somebody last looked whether there is more.
    Column("looked_at", Moment),
)

activity_hours = table(
    # What was done in each hour. It names nobody, and stays when the activity itself is removed.
    "activity_hours",
    Column("hour", Moment, primary_key=True),
    Column("verb", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("count", Integer, nullable=False),
)

event_hours = table(
    # How many webhooks came in each hour.
    "event_hours",
    Column("hour", Moment, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("count", Integer, nullable=False),
)

problems = table(
    # What stands in somebody's way: the causes of the newest activity of one verb for one person of an audience.
    "problems",
    number_id(),
    Column("cause", Text, nullable=False),
    # Whose it is, as a digest: the activity says who they are, and is gone once they are erased or it has grown old.
    Column("who", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("activity_id", Number, ForeignKey("activity.id", ondelete="CASCADE"), nullable=False),
    UniqueConstraint("who", "verb", "cause"),
)

Index("ix_problems_cause", problems.c.cause, problems.c.id)

Index("ix_problems_activity", problems.c.activity_id)
