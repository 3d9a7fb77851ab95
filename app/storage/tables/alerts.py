"""What operators were told of."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Text

from app.storage.tables.columns import Moment, table

alerts = table(
    # A row for each trouble and each way of telling, from its beginning until its end was told: few, mostly none.
    "alerts",
    Column("key", Text, primary_key=True),
    # webhook or mail.
    Column("way", Text, primary_key=True),
    # In words, the cause of the catalogue, and the console's page; nobody's name or address.
    Column("what", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("since", Moment),
    # begun, told, over
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # When it is to be told, and a lease of whoever does; null once it was.
    Column("due_at", Moment),
)
