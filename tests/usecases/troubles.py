"""Things that go wrong, each made to happen as it would: by what is set up, by the vendors, by webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from app.core.audiences import AttributeType
from app.core.causes import Cause
from app.core.diagnosis import Asker, Question
from app.core.errors import RateLimited, Rejected, Unauthorized, Unavailable, Vendor
from app.core.people import Audience, Role
from app.core.qualification import CLOSED
from app.storage import campaigns, circuits, heard, people, programs, syncs, workspaces
from app.storage.circuits import Broken
from app.storage.people import Change
from app.storage.tables import reconciles
from app.storage.vault import digest
from app.usecases.connect_workspace import disconnect_workspace
from app.usecases.erase_person import erase_person
from app.usecases.qualify_by_hand import qualify_by_hand
from app.usecases.records import person_record
from app.usecases.refresh_catalogue import refresh_workspace
from app.usecases.set_up_campaign import archive_campaign
from schemas.intercom import Segment
from tests.fakes import custom
from tests.product import SETTINGS, Product
from tests.usecases.diagnosing import FRIEND
from tests.usecases.syncing import Syncing

Q = Question
WORDS = "custom_attributes."
LINK = WORDS + "Referral Link"
REFERRERS = {**SETTINGS, "mapping": [*SETTINGS["mapping"][:2], {"from": {"field": "url"}, "to": LINK}]}
REFERRERS = {**REFERRERS, "qualification": None}


@dataclass(frozen=True)
class Trouble:
    """What goes wrong, what is asked about it, and the cause that is to be named first."""

    question: Question
    cause: Cause
    happens: Callable[[Product], object]
    email: str | None = FRIEND
    more: Mapping[str, Any] = field(default_factory=dict)
    outright: bool = False
    """It is an answer to this question alone: among all the others nothing is wrong."""


def send(product: Product, **changes: Any) -> None:
    """Somebody joins, and is worked on."""
    product.receive_lead(**changes)
    product.work_until_idle()


def sent(**changes: Any) -> Callable[[Product], None]:
    return lambda product: send(product, **changes)


def mapped(*rows: dict[str, Any], **changes: Any) -> Callable[[Product], None]:
    """The leads' mapping has more rows; then somebody joins."""

    def happens(product: Product) -> None:
        product.change(mapping=[*SETTINGS["mapping"], *rows], **changes)
        send(product)

    return happens


def row(field_: str, to: str) -> dict[str, Any]:
    return {"from": {"field": field_}, "to": WORDS + to}


def know(product: Product, *attributes: Any) -> None:
    """The workspace has these attributes too, and we know it."""
    product.intercom.catalogue |= {one.path: one for one in attributes}
    refresh_workspace(product.services, product.workspace_id)


def changed_attribute(name: str, *types: AttributeType, **what: Any) -> Callable[[Product], None]:
    """An attribute is another than it was; then somebody joins."""

    def happens(product: Product) -> None:
        know(product, custom(name, *types, **what))
        send(product)

    return happens


def shut(name: str, cause: Cause) -> Callable[[Product], None]:
    def happens(product: Product) -> None:
        with product.database.writing() as connection:
            circuits.open_(connection, Broken(name, cause.value, timedelta(seconds=10)), product.time)

    return happens


def lose_token(product: Product) -> None:
    with product.database.writing() as connection:
        workspaces.lose(connection, product.workspace_id, digest("token"), Cause.INTERCOM_UNAUTHORIZED, product.time)


def lose_program(product: Product) -> None:
    with product.database.writing() as connection:
        programs.lose(connection, product.program_id, digest("rf"), Cause.REFERRAL_FACTORY_UNAUTHORIZED, product.time)


def miss_permission(product: Product) -> None:
    with product.database.writing() as connection:
        workspaces.miss_permission(connection, product.workspace_id, "contacts_write")


def hear(product: Product, topic: str) -> None:
    with product.database.writing() as connection:
        heard.note(connection, [(heard.campaign_scope(product.campaign_id), topic, product.time)])


def found_by_us(product: Product) -> None:
    """A search has found people of whom no webhook told."""
    with product.database.writing() as connection:
        row_ = {"kind": "referral_factory", "connection_id": product.program_id, "started_at": product.time}
        connection.execute(reconciles.insert().values(**row_, looked_at=9, found=3, calls=1))


def join_before_setup(product: Product) -> None:
    referrer = product.referral_factory.sign_up("rita@example.com")
    friend = product.referral_factory.sign_up(FRIEND, referrer=referrer)
    record = replace(person_record(product.campaign_id, product.workspace_id, friend), joined_before_setup=True)
    with product.database.writing() as connection:
        people.save(connection, [record], product.time)


def archived_match(product: Product) -> None:
    product.change(action="create_user")
    there = product.intercom.put(FRIEND, Role.USER, created_at=1)
    product.intercom.archive(there.id)
    send(product)


def exists(product: Product, role: Role = Role.USER, **more: Any) -> None:
    product.intercom.put(FRIEND, role, created_at=1, **more)
    send(product)


def exists_twice(product: Product) -> None:
    product.intercom.put(FRIEND, Role.USER)
    exists(product)


def refused_email(product: Product) -> None:
    product.intercom.refuse("email")
    send(product)


def not_told_of(product: Product) -> None:
    product.referral_factory.sign_up(FRIEND, referrer=product.referral_factory.sign_up("rita@example.com"))


def retried(product: Product) -> None:
    product.intercom.fail("search_email", Unavailable(Vendor.INTERCOM, "no answer"))
    product.receive_lead()
    product.work()


def a_bug(product: Product) -> None:
    product.intercom.fail("search_email", ZeroDivisionError("ours"))  # type: ignore[arg-type]
    send(product)


def erased(product: Product) -> None:
    product.watched()
    lead = next(one for one in product.people() if one.audience == "leads")
    erase_person(product.services, lead.id, "owner")


def archived_contact(product: Product) -> None:
    product.intercom.archive(product.watched().id)


def deleted_contact(product: Product) -> None:
    contact = product.watched()
    product.intercom.delete(contact.id)
    product.tell(contact, "contact.deleted")


def merged_contact(product: Product) -> None:
    contact = product.watched()
    product.intercom.merge(contact.id, product.intercom.put(FRIEND, Role.USER).id)


def superseded(product: Product) -> None:
    send(product)
    with product.database.writing() as connection:
        newer = {"sent_received_at": product.time + timedelta(seconds=1)}
        connection.execute(people.people.update().values(newer))
    send(product, Company="Older")


def refused_value(product: Product) -> None:
    product.intercom.refuse(WORDS + "Company name")
    send(product)


def crm_field(product: Product) -> None:
    send(product)
    with product.database.writing() as connection:
        campaigns.change(connection, product.campaign_id, crm_fields=["Company name"])


def blanks_only(product: Product) -> None:
    product.change(duplicates="fill_blanks")
    exists(product, custom_attributes={"Company name": "Another"})


def shared_link(product: Product) -> None:
    other = product.add_campaign(product.workspace_id, product.program_id, "2")
    for campaign_id in (product.campaign_id, other):
        product.set_up(Audience.REFERRERS, REFERRERS, campaign_id)


# Qualification


def turned(**attributes: Any) -> Callable[[Product], None]:
    """A watched lead's attributes change, and a notification tells of it."""

    def happens(product: Product) -> None:
        product.tell(product.turns(product.watched(), **attributes))

    return happens


def silently_converted(product: Product) -> None:
    product.turns(product.watched(), plan="pro")


def with_rule(**rule: Any) -> Callable[[Product], None]:
    def happens(product: Product) -> None:
        product.change(qualification={**SETTINGS["qualification"], **rule})
        product.watched()

    return happens


def another_plan_first(product: Product) -> None:
    product.change(duplicates="update")
    product.intercom.put(FRIEND, Role.LEAD, created_at=1, custom_attributes={"plan": "basic"})
    product.watched()


def customer_before(product: Product) -> None:
    product.change(duplicates="update")
    product.intercom.put(FRIEND, Role.USER, created_at=1, custom_attributes={"plan": "pro"})
    product.watched()


def refused_by_referral_factory(product: Product) -> None:
    refusal = Rejected(Vendor.REFERRAL_FACTORY, "No.", status=422, code="422")
    product.referral_factory.fail("qualify", refusal, times=5)
    turned(plan="pro")(product)


def deleted_there(product: Product) -> None:
    contact = product.watched()
    product.referral_factory.people.clear()
    product.tell(product.turns(contact, plan="pro"))


def several_of_one_email(product: Product) -> None:
    """Decided by the email alone, which two records have."""
    product.watched()
    lead = next(one for one in product.people() if one.audience == "leads")
    told = {"outcome": "failed", "cause": "several_people_match", "verb": "qualify", "fields": []}
    mine = {"campaign_id": product.campaign_id, "workspace_id": product.workspace_id, "audience": "leads"}
    from app.storage import activity

    with product.database.writing() as connection:
        activity.record(connection, [{**told, **mine, "at": product.time, "email": lead.email}])


def disqualified(product: Product) -> None:
    product.watched()
    lead = next(one for one in product.people() if one.audience == "leads")
    qualify_by_hand(product.services, lead.id, qualified=False, asked_by="owner")


def closed(cause: Cause) -> Callable[[Product], None]:
    def happens(product: Product) -> None:
        product.watched()
        lead = next(one for one in product.people() if one.audience == "leads")
        with product.database.writing() as connection:
            people.change_open(connection, [Change(lead.id, CLOSED, cause.value)], product.time)

    return happens


def only_a_referrer(product: Product) -> None:
    product.set_up(Audience.REFERRERS, REFERRERS)
    send(product, type="person_referring", referrer_id=None, url="https://example.com/r")


# Syncs


def synced(*, run: bool = True, **settings: Any) -> Callable[[Product], None]:
    """A sync has run over the one contact there is."""

    def happens(product: Product) -> None:
        syncing = Syncing(product)
        syncing.contact(FRIEND, **settings.pop("contact", {}))
        syncing.start(**settings)
        if run:
            syncing.run()
            product.work_until_idle()

    return happens


def full(product: Product) -> None:
    syncing = Syncing(product)
    syncing.contact(FRIEND)
    product.referral_factory.sign_up("rita@example.com")
    syncing.limit(account=1)
    syncing.start()
    syncing.run()


def repeating(product: Product) -> None:
    syncing = Syncing(product)
    product.intercom.page_size = 1
    for name in ("ann", "bea", "friend"):
        syncing.contact(f"{name}@example.com")
    syncing.repeats_cursors()
    syncing.start()
    syncing.run()
    syncing.run()


def were_there(product: Product) -> None:
    syncing = Syncing(product)
    product.referral_factory.sign_up(FRIEND)
    syncing.know(FRIEND)
    syncing.contact(FRIEND)
    syncing.start()
    syncing.run()
    product.work_until_idle()


def of_a_segment(product: Product, *, there: bool = True, **settings: Any) -> int:
    if there:
        product.intercom.segment_list.append(Segment("s1", "Big spenders", Role.USER))
    refresh_workspace(product.services, product.workspace_id)
    return Syncing(product).start(contacts="segment", segment_id="s1", **settings)


def segment_gone(product: Product) -> None:
    of_a_segment(product, there=False, schedule="ongoing")


def outside_the_segment(product: Product) -> None:
    of_a_segment(product, schedule="ongoing")
    Syncing(product).run()
    Syncing(product).contact(FRIEND)


def came_after(product: Product) -> None:
    syncing = Syncing(product)
    syncing.start()
    syncing.run()
    product.advance(60)
    syncing.contact(FRIEND)


def paused(product: Product) -> None:
    sync_id = Syncing(product).start(schedule="ongoing")
    Syncing(product).set_state(sync_id, syncs.PAUSED)


def link_refused(product: Product) -> None:
    product.intercom.refuse(LINK)
    synced()(product)


def link_waits(product: Product) -> None:
    """The referrer is there, and what is owed to their contact has not been written yet."""
    only_a_referrer(product)
    (contact,) = product.intercom.contacts.values()
    product.intercom.change(contact.id, custom_attributes={})
    from app.usecases import write_back

    with product.database.writing() as connection:
        named = people.ReferrerName(product.campaign_id, email=FRIEND)
        write_back.ask(connection, {named}, product.time)


def link_attribute(*types: AttributeType, **what: Any) -> Callable[[Product], None]:
    def happens(product: Product) -> None:
        product.set_up(Audience.REFERRERS, REFERRERS)
        know(product, custom("Referral Link", *types, **what))

    return happens


UNAUTHORIZED = Unauthorized(Vendor.INTERCOM, "Access Token Invalid", status=401)
SLOW = RateLimited(Vendor.INTERCOM, "Our own budget is spent.", after=5)

ASKER = Asker("teammate@example.com", may_manage=False, owners=("owner@example.com",))

TROUBLES: dict[str, Trouble] = {
    # Can't connect
    "token lost": Trouble(Q.CANNOT_CONNECT, Cause.INTERCOM_UNAUTHORIZED, lose_token, None),
    "token refused now": Trouble(
        Q.CANNOT_CONNECT, Cause.INTERCOM_UNAUTHORIZED, lambda p: p.intercom.fail("me", UNAUTHORIZED, times=9), None
    ),
    "another region": Trouble(
        Q.CANNOT_CONNECT, Cause.INTERCOM_UNAUTHORIZED, lambda p: p.intercom.fail("me", UNAUTHORIZED), None
    ),
    "disconnected": Trouble(
        Q.CANNOT_CONNECT,
        Cause.WORKSPACE_DISCONNECTED,
        lambda p: disconnect_workspace(p.services, p.workspace_id, "owner"),
        None,
    ),
    "permission missing": Trouble(Q.CANNOT_CONNECT, Cause.INTERCOM_PERMISSION_MISSING, miss_permission, None),
    "Intercom away": Trouble(
        Q.CANNOT_CONNECT, Cause.INTERCOM_UNAVAILABLE, shut("intercom:1", Cause.INTERCOM_UNAVAILABLE), None
    ),
    "budget spent": Trouble(Q.CANNOT_CONNECT, Cause.RATE_LIMITED, lambda p: p.intercom.fail("me", SLOW), None),
    "program lost": Trouble(Q.CANNOT_CONNECT, Cause.REFERRAL_FACTORY_UNAUTHORIZED, lose_program, None),
    "Referral Factory away": Trouble(
        Q.CANNOT_CONNECT,
        Cause.REFERRAL_FACTORY_UNAVAILABLE,
        shut("referral_factory:1", Cause.REFERRAL_FACTORY_UNAVAILABLE),
        None,
    ),
    "not permitted": Trouble(Q.CANNOT_CONNECT, Cause.TEAMMATE_NOT_PERMITTED, lambda _: None, None, {"asker": ASKER}),
    # Nobody arrives
    "no action": Trouble(Q.NONE_ARRIVE, Cause.ACTION_IS_NOTHING, lambda p: p.change(action="nothing"), None),
    "name not mapped": Trouble(
        Q.NONE_ARRIVE, Cause.NAME_NOT_MAPPED, lambda p: p.change(mapping=SETTINGS["mapping"][1:]), None
    ),
    "email not mapped": Trouble(
        Q.NONE_ARRIVE, Cause.EMAIL_NOT_MAPPED, lambda p: p.change(mapping=SETTINGS["mapping"][:1]), None
    ),
    "campaign archived": Trouble(
        Q.NONE_ARRIVE, Cause.CAMPAIGN_ARCHIVED, lambda p: archive_campaign(p.services, p.campaign_id, "owner"), None
    ),
    "no webhook comes": Trouble(Q.NONE_ARRIVE, Cause.WEBHOOK_MISSED, found_by_us, None),
    "only rewards are told": Trouble(
        Q.NONE_ARRIVE, Cause.TOPIC_WITHOUT_MEANING, lambda p: hear(p, "reward-issued"), None
    ),
    "a date without extended types": Trouble(
        Q.NONE_ARRIVE,
        Cause.UNSUPPORTED_ATTRIBUTE_TYPE,
        lambda p: know(p, custom("Seats", AttributeType.DATE)),
        None,
    ),
    # Some do not
    "joined before": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.JOINED_BEFORE_SETUP, join_before_setup),
    "joined before, all": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.JOINED_BEFORE_SETUP, join_before_setup, None),
    "is there": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.DUPLICATE_SKIPPED, exists),
    "is there, all": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.DUPLICATE_SKIPPED, exists, None),
    "is there, archived": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.ARCHIVED_CONTACT, archived_match),
    "is there twice": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.SEVERAL_CONTACTS_MATCH, exists_twice),
    "has no name": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.MISSING_REQUIRED_VALUE, sent(first_name=" ")),
    "has no address": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.INVALID_EMAIL, sent(email="nobody"), "nobody"),
    "email refused": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.VALUE_REFUSED_BY_INTERCOM, refused_email),
    "of another campaign": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.CAMPAIGN_MISMATCH, sent(campaign_id="9")),
    "unknown": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.UNKNOWN_IN_REFERRAL_FACTORY, lambda _: None),
    "not told of": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.WEBHOOK_MISSED, not_told_of),
    "not understood": Trouble(
        Q.SOME_DO_NOT_ARRIVE, Cause.WEBHOOK_NOT_UNDERSTOOD, lambda p: (p.receive(colour="red"), p.work()), None
    ),
    "waiting": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.WAITING_IN_QUEUE, lambda p: p.receive_lead()),
    "retrying": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.INTERCOM_UNAVAILABLE, retried),
    "given up": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.INTERNAL_ERROR, a_bug),
    "referred themselves": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.SELF_REFERRAL, sent(referrer_email=FRIEND)),
    "erased": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.ERASED_ON_REQUEST, erased),
    "archived since": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.CONTACT_ARCHIVED, archived_contact),
    "deleted since": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.CONTACT_DELETED, deleted_contact),
    "merged since": Trouble(Q.SOME_DO_NOT_ARRIVE, Cause.CONTACT_MERGED, merged_contact),
    # An attribute
    "no number": Trouble(Q.ATTRIBUTE_NOT_UPDATED, Cause.VALUE_WRONG_TYPE, sent(Seats="many")),
    "no number, all": Trouble(Q.ATTRIBUTE_NOT_UPDATED, Cause.VALUE_WRONG_TYPE, sent(Seats="many"), None),
    "too long": Trouble(Q.ATTRIBUTE_NOT_UPDATED, Cause.VALUE_TOO_LONG, sent(Company="x" * 256)),
    "no option": Trouble(
        Q.ATTRIBUTE_NOT_UPDATED,
        Cause.VALUE_NOT_AN_OPTION,
        changed_attribute("Company name", AttributeType.LIST, options=("Bcme",)),
    ),
    "archived": Trouble(
        Q.ATTRIBUTE_NOT_UPDATED, Cause.ATTRIBUTE_ARCHIVED, changed_attribute("Company name", archived=True)
    ),
    "not writable": Trouble(
        Q.ATTRIBUTE_NOT_UPDATED, Cause.ATTRIBUTE_NOT_WRITABLE, changed_attribute("Company name", writable=False)
    ),
    "no such attribute": Trouble(Q.ATTRIBUTE_NOT_UPDATED, Cause.ATTRIBUTE_UNKNOWN, mapped(row("url", "Gone"))),
    "value refused": Trouble(Q.ATTRIBUTE_NOT_UPDATED, Cause.VALUE_REFUSED_BY_INTERCOM, refused_value),
    "left blank": Trouble(Q.ATTRIBUTE_NOT_UPDATED, Cause.NOT_IN_PAYLOAD, sent(Company="")),
    "filled by a CRM field": Trouble(Q.ATTRIBUTE_NOT_UPDATED, Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD, crm_field),
    "mapped twice": Trouble(
        Q.ATTRIBUTE_NOT_UPDATED, Cause.ATTRIBUTE_ALREADY_MAPPED, mapped(row("code", "Company name"))
    ),
    "mapped to the trigger": Trouble(
        Q.ATTRIBUTE_NOT_UPDATED, Cause.ATTRIBUTE_IS_THE_TRIGGER, mapped(row("code", "plan"))
    ),
    # Updates
    "policy skips": Trouble(Q.DOES_NOT_UPDATE, Cause.DUPLICATE_SKIPPED, exists),
    "policy fills blanks": Trouble(Q.DOES_NOT_UPDATE, Cause.EXISTING_VALUE_KEPT, blanks_only),
    "came late": Trouble(Q.DOES_NOT_UPDATE, Cause.SUPERSEDED, superseded),
    # Choices
    "choice unknown": Trouble(
        Q.ATTRIBUTE_NOT_SELECTABLE, Cause.ATTRIBUTE_UNKNOWN, lambda _: None, None, {"attribute": "Brand new"}
    ),
    "choice archived": Trouble(
        Q.ATTRIBUTE_NOT_SELECTABLE,
        Cause.ATTRIBUTE_ARCHIVED,
        lambda p: know(p, custom("Old one", archived=True)),
        None,
        {"attribute": "Old one"},
    ),
    "choice not writable": Trouble(
        Q.ATTRIBUTE_NOT_SELECTABLE, Cause.ATTRIBUTE_NOT_WRITABLE, lambda _: None, None, {"attribute": "role"}
    ),
    "choice of a type": Trouble(
        Q.ATTRIBUTE_NOT_SELECTABLE,
        Cause.UNSUPPORTED_ATTRIBUTE_TYPE,
        lambda p: know(p, custom("Order", AttributeType.REFERENCE)),
        None,
        {"attribute": "order"},
    ),
    "choice mapped": Trouble(
        Q.ATTRIBUTE_NOT_SELECTABLE,
        Cause.ATTRIBUTE_ALREADY_MAPPED,
        lambda _: None,
        None,
        {"attribute": WORDS + "Seats"},
        outright=True,
    ),
    "choice is the trigger": Trouble(
        Q.ATTRIBUTE_NOT_SELECTABLE,
        Cause.ATTRIBUTE_IS_THE_TRIGGER,
        lambda _: None,
        None,
        {"attribute": "plan"},
        outright=True,
    ),
    # The link's
    "link to a list": Trouble(
        Q.LINK_ATTRIBUTE_NOT_SELECTABLE,
        Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT,
        link_attribute(AttributeType.LIST, options=("a", "b")),
        None,
    ),
    "link shared": Trouble(Q.LINK_ATTRIBUTE_NOT_SELECTABLE, Cause.ATTRIBUTE_SHARED_BY_CAMPAIGNS, shared_link, None),
    # Qualification
    "not a target": Trouble(Q.NOT_QUALIFIED, Cause.VALUE_NOT_A_TARGET, turned(plan="pro plan")),
    "not converted": Trouble(Q.NOT_QUALIFIED, Cause.VALUE_NOT_A_TARGET, lambda p: p.watched(), outright=True),
    "another attribute": Trouble(Q.NOT_QUALIFIED, Cause.ATTRIBUTE_NOT_THE_TRIGGER, turned(tier="pro")),
    "another value first": Trouble(Q.NOT_QUALIFIED, Cause.INITIAL_VALUE_MISMATCH, another_plan_first),
    "a customer before": Trouble(Q.NOT_QUALIFIED, Cause.ALREADY_CONVERTED, customer_before),
    "was there before": Trouble(Q.NOT_QUALIFIED, Cause.EXISTED_BEFORE_AND_NOT_UPDATED, exists),
    "conversion not told of": Trouble(Q.NOT_QUALIFIED, Cause.WEBHOOK_MISSED, silently_converted),
    "refused there": Trouble(Q.NOT_QUALIFIED, Cause.REFERRAL_FACTORY_REFUSED, refused_by_referral_factory),
    "deleted there": Trouble(Q.NOT_QUALIFIED, Cause.UNKNOWN_IN_REFERRAL_FACTORY, deleted_there),
    "two of one email": Trouble(Q.NOT_QUALIFIED, Cause.SEVERAL_PEOPLE_MATCH, several_of_one_email),
    "taken back": Trouble(Q.NOT_QUALIFIED, Cause.ALREADY_QUALIFIED, disqualified),
    "a referrer": Trouble(Q.NOT_QUALIFIED, Cause.ONLY_LEADS_QUALIFY, only_a_referrer, outright=True),
    "nobody's lead": Trouble(
        Q.NOT_QUALIFIED, Cause.NOT_A_TRACKED_LEAD, lambda p: p.intercom.put(FRIEND), outright=True
    ),
    "option renamed": Trouble(
        Q.NOT_QUALIFIED,
        Cause.VALUE_NOT_AN_OPTION,
        lambda p: know(p, custom("plan", AttributeType.LIST, options=("trial", "professional"))),
        None,
    ),
    "no target": Trouble(Q.NOT_QUALIFIED, Cause.VALUE_NOT_A_TARGET, with_rule(target_values=[]), None),
    # Segments
    "segment unknown": Trouble(
        Q.SEGMENT_NOT_FOUND, Cause.SEGMENT_UNKNOWN, lambda _: None, None, {"segment": "Big spenders"}
    ),
    "segment gone": Trouble(Q.SEGMENT_NOT_FOUND, Cause.SEGMENT_GONE, segment_gone, None),
    # Few were added
    "blank value": Trouble(
        Q.SYNC_ADDED_FEW, Cause.BLANK_MAPPED_VALUE, lambda p: synced(contact={"name": " "})(p), None
    ),
    "blank value, one": Trouble(
        Q.SYNC_ADDED_FEW, Cause.BLANK_MAPPED_VALUE, lambda p: synced(contact={"name": " "})(p)
    ),
    "account full": Trouble(Q.SYNC_ADDED_FEW, Cause.USER_LIMIT_REACHED, full, None),
    "all were there": Trouble(Q.SYNC_ADDED_FEW, Cause.ALREADY_IN_CAMPAIGN, were_there, None),
    "still running": Trouble(
        Q.SYNC_ADDED_FEW, Cause.WAITING_IN_QUEUE, lambda p: synced(run=False)(p), None, outright=True
    ),
    "in a circle": Trouble(Q.SYNC_ADDED_FEW, Cause.CURSOR_REPEATED, repeating, None),
    # No link
    "link not mapped": Trouble(Q.NO_LINK_IN_INTERCOM, Cause.LINK_NOT_MAPPED, lambda p: synced(write_back=[])(p)),
    "link refused": Trouble(Q.NO_LINK_IN_INTERCOM, Cause.VALUE_REFUSED_BY_INTERCOM, link_refused),
    "link to a number": Trouble(
        Q.NO_LINK_IN_INTERCOM,
        Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT,
        link_attribute(AttributeType.NUMBER),
        None,
    ),
    "link waits": Trouble(Q.NO_LINK_IN_INTERCOM, Cause.WAITING_IN_QUEUE, link_waits),
    # New contacts
    "ran once": Trouble(Q.NEW_CONTACTS_NOT_ENROLLED, Cause.SYNC_IS_ONE_TIME, came_after),
    "ongoing paused": Trouble(Q.NEW_CONTACTS_NOT_ENROLLED, Cause.WAITING_IN_QUEUE, paused, None),
    "not in the segment": Trouble(Q.NEW_CONTACTS_NOT_ENROLLED, Cause.CONTACT_NOT_MATCHED, outside_the_segment),
}
