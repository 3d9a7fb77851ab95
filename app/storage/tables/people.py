"""Leads and referrers: who they are, which contact is theirs, what was seen of them and what was done."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Text, UniqueConstraint

from app.storage.tables.columns import Moment, Number, number_id, partial_index, table

links = table(
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

creations = table(
    "creations",
    number_id(),
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

people = table(
    "people",
    number_id(),
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
    # When the first of their "joined" events was received: whoever was made in Intercom later is no old customer.
    Column("joined_received_at", Moment),
    # When the event that was sent last was received: an older one does not overwrite it.
    Column("sent_received_at", Moment),
    # True: they joined before the audience was set up, and a reconcile leaves them alone. False: a webhook of theirs
    # was worked on with a complete setup, which stands. Null: nobody has said.
    Column("joined_before_setup", Boolean),
    # open, qualified, disqualified (by hand), or closed: will not qualify, and the cause says why.
    Column("qualification_state", Text, nullable=False),
    Column("qualification_since", Moment),
    Column("qualification_cause", Text),
    # The sync that made them a referrer, if one did: their webhook changes nothing, its mapping is written back.
    Column("enrolled_by", Number),
    # The reconcile that saw them last in Referral Factory's list; kept of watched leads only.
    Column("swept_in", Number),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("campaign_id", "audience", "referral_factory_id"),
)

Index("ix_people_email", people.c.email, people.c.id)

Index("ix_people_campaign_email", people.c.campaign_id, people.c.audience, people.c.email)

Index("ix_people_campaign", people.c.campaign_id, people.c.id)

Index("ix_people_person", people.c.person_key)

Index("ix_people_contact", people.c.workspace_id, people.c.contact_id)

BEFORE = "joined_before_setup IS TRUE AND sent_received_at IS NULL"

Index("ix_people_before", people.c.campaign_id, people.c.audience, people.c.id, **partial_index(BEFORE))

Index("ix_people_code", people.c.campaign_id, people.c.code)

# How far each campaign's people have come is counted from this alone.
Index("ix_people_funnel", people.c.campaign_id, people.c.audience, people.c.qualification_state, people.c.contact_id)

WATCHED = "audience = 'leads' AND qualification_state = 'open' AND contact_id IS NOT NULL"

Index("ix_people_watched", people.c.workspace_id, people.c.id, **partial_index(WATCHED))

# The audience is in it for the planner's sake, which else finds the campaign's index as good.
Index("ix_people_watched_campaign", people.c.campaign_id, people.c.audience, people.c.id, **partial_index(WATCHED))

watches = table(
    # What stood in the trigger attribute when a lead began to be watched: written once.
    "watches",
    Column("person_id", Number, ForeignKey("people.id"), primary_key=True),
    Column("attribute", Text, primary_key=True),
    Column("value", JSON, nullable=False),
    # Unix seconds, the contact's own update time.
    Column("at", BigInteger, nullable=False),
    Column("contact_is_new", Boolean, nullable=False),
    Column("begun_at", Moment, nullable=False),
)

observations = table(
    # Every value of the trigger attribute that was seen, with its earliest and latest time: all that a decision
    # needs, and as many rows as there were values however often a contact changes.
    "observations",
    Column("person_id", Number, ForeignKey("people.id"), primary_key=True),
    Column("attribute", Text, primary_key=True),
    Column("value_key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    # Where it was seen first.
    Column("seen_in", Text, nullable=False),
)

qualifications = table(
    # Calls that qualify someone or take it back, recorded before they are made.
    "qualifications",
    number_id(),
    Column("person_id", Number, ForeignKey("people.id"), nullable=False),
    Column("event_id", Number),
    Column("qualified", Boolean, nullable=False),
    # Who asked by hand; null for a rule.
    Column("asked_by", Text),
    # The target value that was reached; null by hand.
    Column("value", JSON),
    Column("attempted_at", Moment, nullable=False),
    # Null while the outcome is not known: the next looks before it calls.
    Column("outcome", Text),
)

activity = table(
    "activity",
    number_id(),
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

Index("ix_activity_event", activity.c.event_id, **partial_index("event_id IS NOT NULL"))

Index("ix_activity_sync", activity.c.sync_id, activity.c.id, **partial_index("sync_id IS NOT NULL"))

Index("ix_activity_cause", activity.c.cause, activity.c.id, **partial_index("cause IS NOT NULL"))

Index("ix_activity_outcome", activity.c.outcome, activity.c.id)

Index("ix_activity_verb", activity.c.verb, activity.c.id)

Index("ix_qualifications_person", qualifications.c.person_id, qualifications.c.id)
