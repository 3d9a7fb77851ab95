"""The sync wizard, step by step: nothing of it is trusted, nothing typed is lost, and its end is a sync."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

import pytest

from app.core.audiences import AttributeType
from app.core.causes import CATALOGUE, Cause
from app.core.errors import Rejected, Unavailable, Vendor
from app.core.people import Role
from app.storage import campaigns, syncs, workspaces
from app.web.console.sync_draft import LONGEST, draft_in, text_of
from schemas.intercom import Segment
from schemas.referral_factory import Campaign
from tests.fakes import custom
from tests.web.api.conftest import ATTRIBUTES, World, segments, world
from tests.web.api.test_syncs import slow
from tests.web.console.marketer import HERE, Marketer, plain

__all__ = ["world"]

MAPPED: dict[str, Any] = {
    "contacts": "users",
    "mapping": [{"from": "name", "to": "first_name"}, {"from": "email", "to": "email"}],
    "write_back": [],
    "schedule": "once",
}

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "‮txt.exe‬ שלום",
    "🦄" * 20,
    "x" * 10_000,
]


@pytest.fixture
def mara(world: World) -> Marketer:
    world.intercom.segment_list = segments(260)
    world.campaign()
    return Marketer(world)


def at(step: str, **draft: Any) -> str:
    return f"/campaigns/1/sync/{step}?draft={text_of({**MAPPED, **draft})}"


def begun(world: World) -> Any:
    with world.database.reading() as connection:
        return syncs.page(connection, campaign_id=1, before=None, limit=10)


class TestFromTheFirstStepToTheLast:
    def test_a_segment_is_synced_both_ways(self, mara: Marketer) -> None:
        ann = mara.world.intercom.put("ann@example.com", name="Ann", custom_attributes={"Company": "Acme"})
        mara.world.intercom.members["s007"].add(ann.id)
        mara.get("/campaigns/1/sync", 302)
        mara.get(mara.answer.headers["Location"])
        mara.send(contacts="segment")
        mara.send(segment_id="s007")
        mara.send(
            to=["first_name", "email", "meta.Last Name"],
            from_=["name", "email", "custom_attributes.Company"],
            back_url="custom_attributes.Referral Link",
            back_referrals="custom_attributes.Seats",
        )
        mara.send(schedule="ongoing", notify="on")
        assert "A specific segment: Segment 007" in mara.words
        assert "Yes: Referral Factory mails everybody who is added" in mara.words
        mara.send(200, do_="count")
        assert "Contacts in all 1 New to the campaign 1" in mara.words
        assert begun(mara.world) == []
        mara.send(do_="start", form=1)
        (run,) = begun(mara.world)
        assert run.settings == {
            "contacts": "segment",
            "segment_id": "s007",
            "mapping": [
                {"from": "name", "to": "first_name"},
                {"from": "email", "to": "email"},
                {"from": "custom_attributes.Company", "to": "meta.Last Name"},
            ],
            "write_back": [
                {"from": "url", "to": "custom_attributes.Referral Link"},
                {"from": "referrals", "to": "custom_attributes.Seats"},
            ],
            "schedule": "ongoing",
            "notify": True,
        }
        assert (run.created_by, run.dry_run, mara.path) == ("mara@example.com", False, f"/syncs/{run.id}")
        assert "Sync 1 has begun" in mara.words

    @pytest.mark.parametrize(
        ("contacts", "steps"),
        [
            ("leads", ["Contacts", "Mapping", "One-time or ongoing", "Confirm"]),
            ("segment", ["Contacts", "Segment", "Mapping", "One-time or ongoing", "Confirm"]),
        ],
    )
    def test_only_a_sync_of_a_segment_asks_which(self, mara: Marketer, contacts: str, steps: list[str]) -> None:
        mara.get("/campaigns/1/sync/contacts")
        page = mara.send(contacts=contacts)
        assert f'aria-current="step">2. {steps[1]}<' in page
        shown = re.search(r'(?s)aria-label="Steps">(.*?)</nav>', page)
        assert shown
        words = plain(shown[1]).replace(" (done, change it)", "")
        assert words == " ".join(f"{n}. {title}" for n, title in enumerate(steps, 1))

    def test_what_was_chosen_stays_on_the_way_back_and_forward(self, mara: Marketer) -> None:
        mara.get(at("mapping"))
        mara.send(to=["first_name", "email"], from_=["custom_attributes.Company", ""], do_="back")
        assert mara.path.startswith("/campaigns/1/sync/contacts?draft=")
        assert 'value="users" checked' in mara.text
        page = mara.send()
        assert '<option value="custom_attributes.Company" selected>' in page
        assert "Email is not mapped yet" not in mara.words
        assert "invalid" in page  # the email is missing now, and it is said at once

    def test_another_kind_of_contacts_forgets_the_segment(self, mara: Marketer) -> None:
        mara.get(at("contacts", contacts="segment", segment_id="s001"))
        mara.send(contacts="leads")
        assert draft_in(mara.path.partition("draft=")[2]).get("segment_id") is None

    def test_a_run_can_be_made_again_with_its_settings(self, mara: Marketer) -> None:
        mara.get(at("confirm"))
        mara.send(do_="start", form=1)
        link = re.search(r'href="([^"]+)">Make another sync like this one', mara.text)
        assert link
        mara.get(link[1])
        assert 'value="users" checked' in mara.text


class TestWhatIsMissingOrWrong:
    @pytest.mark.parametrize(
        ("step", "draft", "sent", "said"),
        [
            ("contacts", {}, {"contacts": ""}, "Choose one of these."),
            ("contacts", {}, {"contacts": "nobody"}, "Choose one of these."),
            ("segment", {"contacts": "segment"}, {}, "Name the segment whose members become referrers."),
            ("segment", {"contacts": "segment"}, {"segment_id": "gone"}, "The segment was not in the list"),
            ("mapping", {}, {"from_": ["", "email"]}, "No row of the mapping fills the name"),
            ("mapping", {}, {"from_": ["name", ""]}, "No row of the mapping fills the email"),
            (
                "mapping",
                {},
                {"from_": ["custom_attributes.Nope", "email"]},
                CATALOGUE[Cause.ATTRIBUTE_UNKNOWN].explanation,
            ),
            ("mapping", {}, {"from_": ["name", "name"]}, "The email is carried from the contact"),
            ("mapping", {}, {"back_url": "custom_attributes.Seats"}, "Referral links can be long"),
            ("mapping", {}, {"back_referrals": "custom_attributes.Locked"}, "Some attributes can't be a target"),
            ("mapping", {}, {"added_from": "name"}, "Give the field's label."),
            ("mapping", {}, {"added_to": "Last Name"}, "This must not be blank."),
            ("mapping", {}, {"added_to": "Shoe size", "added_from": "name"}, "The campaign has no field"),
            ("schedule", {}, {"schedule": "sometimes"}, "Choose one of these."),
        ],
    )
    def test_it_is_said_at_its_field(
        self, mara: Marketer, step: str, draft: dict[str, Any], sent: dict[str, Any], said: str
    ) -> None:
        mara.get(at(step, **draft))
        page = mara.send(422, **sent)
        assert mara.path == f"/campaigns/1/sync/{step}"
        faults = [plain(one) for one in re.findall(r'(?s)<div class="text-danger.*?</div>', page)]
        assert any(said in one for one in faults), faults

    def test_nothing_typed_is_lost(self, mara: Marketer) -> None:
        mara.get(at("mapping"))
        page = mara.send(
            422, from_=["", "email"], added_to="Shoe size", added_from="phone", back_url="custom_attributes.Company"
        )
        assert '<option value="custom_attributes.Company" selected>' in page
        assert '<option value="phone" selected>' in page
        assert 'name="to" value="meta.Shoe size"' in page
        assert '<option value="email" selected>' in page

    def test_two_rows_into_one_attribute_are_refused(self, mara: Marketer) -> None:
        mara.get(at("mapping"))
        mara.send(422, back_referrals="custom_attributes.Seats", back_qualified_referrals="custom_attributes.Seats")
        assert "back-qualified_referrals-faults" in mara.text
        assert "back-referrals-faults" not in mara.text

    @pytest.mark.parametrize("step", ["segment", "mapping", "schedule", "confirm"])
    def test_nobody_begins_in_the_middle(self, mara: Marketer, step: str) -> None:
        mara.get(f"/campaigns/1/sync/{step}", 302)
        assert "/campaigns/1/sync/contacts?" in mara.answer.headers["Location"]

    @pytest.mark.parametrize(
        ("draft", "step"),
        [
            ({"contacts": "segment"}, "segment"),
            ({"contacts": "segment", "segment_id": "gone"}, "segment"),
            ({"mapping": []}, "mapping"),
            ({"write_back": [{"from": "url", "to": "name"}]}, "mapping"),
            ({"schedule": "never"}, "schedule"),
            ({"contacts": "everything"}, "contacts"),
        ],
    )
    def test_the_end_is_reached_only_past_every_step(self, mara: Marketer, draft: dict[str, Any], step: str) -> None:
        for do in ("count", "start"):
            mara.post("/campaigns/1/sync/confirm", draft=text_of({**MAPPED, **draft}), do_=do)
            assert mara.path.startswith(f"/campaigns/1/sync/{step}?")
        assert begun(mara.world) == []

    @pytest.mark.parametrize(
        "draft",
        [
            "nonsense",
            "Ü",
            "====",
            base64.urlsafe_b64encode(zlib.compress(b"[]")).decode(),
            base64.urlsafe_b64encode(zlib.compress(b'{"contacts": ["leads"], "mapping": {"a": 1}}')).decode(),
            base64.urlsafe_b64encode(zlib.compress(b'{"contacts": "\\ud800"}')).decode(),
            base64.urlsafe_b64encode(zlib.compress(b"[" * 100_000)).decode(),
            base64.urlsafe_b64encode(zlib.compress(b" " * 50_000_000)).decode()[:60_000],
        ],
        ids=range(8),
    )
    def test_an_address_that_somebody_made_up_is_an_empty_one(self, mara: Marketer, draft: str) -> None:
        assert draft_in(draft) == {} or set(draft_in(draft)) <= {"mapping"}
        mara.get("/campaigns/1/sync/contacts", draft=draft)
        assert " checked" not in mara.text

    def test_more_than_an_address_holds_is_refused_in_words(self, mara: Marketer) -> None:
        labels = [f"{n}-{base64.b85encode(str(n * 7919**9).encode()).decode()}" for n in range(120)]
        with mara.world.database.writing() as connection:
            campaigns.change(connection, 1, fields={"leads": [], "referrers": labels})
        mara.get(at("mapping"))
        sent = [f"meta.{label}" for label in labels]
        mara.send(422, to=["first_name", "email", *sent], from_=["name", "email", *["phone"] * 120])
        assert "more than the wizard can carry" in mara.words
        assert len(text_of({**MAPPED, "mapping": [{"from": "phone", "to": one} for one in sent]})) > LONGEST

    def test_an_unknown_campaign_or_step_is_not_found(self, mara: Marketer) -> None:
        mara.get("/campaigns/99/sync/contacts", 404)
        mara.get("/campaigns/1/sync/dance", 404)


class TestSegments:
    def test_all_are_there_with_their_count_and_kind(self, mara: Marketer) -> None:
        known = [*segments(258), Segment("x", "Trials", Role.LEAD, 1), Segment("y", "Counted", Role.USER, 12_345)]
        with mara.world.database.writing() as connection:
            rows = [
                {"id": one.id, "name": one.name, "person_type": one.person_type.value, "count": one.count}
                for one in known
            ]
            workspaces.replace_segments(connection, 1, rows)
        page = mara.get(at("segment", contacts="segment"))
        assert page.count('name="segment_id"') == 260
        assert "Counted Users 12,345 contacts" in mara.words
        assert "Trials Leads 1 contact" in mara.words

    def test_a_search_without_a_script(self, mara: Marketer) -> None:
        page = mara.get(f"{at('segment', contacts='segment', segment_id='s001')}&q=segment+25")
        assert page.count('name="segment_id"') == 13
        assert "13 of 260 segments" in mara.words

    def test_the_one_that_is_chosen_is_the_first(self, mara: Marketer) -> None:
        page = mara.get(at("segment", contacts="segment", segment_id="s200"))
        assert page.index('value="s200" checked') < page.index('value="s000"')

    def test_one_that_is_new_is_there_after_a_refresh(self, mara: Marketer) -> None:
        mara.get(at("segment", contacts="segment", segment_id="s002"))
        mara.world.intercom.segment_list = [*segments(3), Segment("new", "Brand new", Role.USER, 5)]
        mara.send(do_="refresh")
        assert "Read anew: 4 segments" in mara.words
        assert "Brand new" in mara.words
        assert 'value="s002" checked' in mara.text

    def test_a_refresh_that_fails_leaves_what_was_there(self, mara: Marketer) -> None:
        mara.get(at("segment", contacts="segment"))
        mara.world.intercom.fail("probe_contacts", Unavailable(Vendor.INTERCOM, "Intercom did not answer."))
        mara.send(do_="refresh")
        assert "could not be read, so they are as before. Intercom did not answer." in mara.words
        assert mara.text.count('name="segment_id"') == 260


class TestAttributes:
    def test_what_cant_be_chosen_is_greyed_with_its_reason(self, mara: Marketer) -> None:
        page = mara.get(at("mapping"))
        link = re.search(r'(?s)<select[^>]*name="back_url".*?</select>', page)
        assert link
        options = {plain(one): "disabled" in one for one in re.findall(r"(?s)<option.*?</option>", link[0])}
        assert options["Company (text)"] is False
        assert options["Seats (number) – A link needs a single-line text attribute"] is True
        assert options["Old one (text) – The attribute is archived"] is True

    def test_one_of_the_vendors_name_is_chosen_by_itself(self, mara: Marketer) -> None:
        mara.get(at("mapping")[: at("mapping").index("?")], 302)
        draft = {"contacts": "users"}
        page = mara.get(f"/campaigns/1/sync/mapping?draft={text_of(draft)}")
        assert '<option value="custom_attributes.Referral Link" selected>' in page

    @pytest.mark.parametrize(
        ("name", "label", "type_"),
        [
            ("url", "Link of summer", AttributeType.TEXT),
            ("referrals", "Referrals Count", AttributeType.NUMBER),
            ("qualified_referrals", "Converted Referrals Count", AttributeType.NUMBER),
        ],
    )
    def test_one_is_made_and_chosen_and_the_rest_is_kept(
        self, mara: Marketer, name: str, label: str, type_: AttributeType
    ) -> None:
        mara.get(at("mapping"))
        page = mara.send(create=name, from_=["custom_attributes.Company", "email"], **{f"name_{name}": label})
        assert (mara.world.intercom.catalogue[f"custom_attributes.{label}"].type) is type_
        assert f'<option value="custom_attributes.{label}" selected>' in page
        assert '<option value="custom_attributes.Company" selected>' in page

    @pytest.mark.parametrize(
        ("label", "said"),
        [
            ("Company", "This name is there already."),
            ("Old one", "archived in Intercom"),
            (" ", "Give the attribute a name."),
        ],
    )
    def test_one_that_cant_be_made_is_told_at_its_field(self, mara: Marketer, label: str, said: str) -> None:
        mara.get(at("mapping"))
        status = 422 if label == " " else 409
        page = mara.send(status, create="url", name_url=label, back_referrals="custom_attributes.Seats")
        fault = re.search(r'(?s)id="create-url-fault">(.*?)</div>', page)
        assert fault
        assert said in plain(fault[1])
        assert '<option value="custom_attributes.Seats" selected>' in page

    @pytest.mark.parametrize(
        "error",
        [
            Unavailable(Vendor.INTERCOM, "Intercom did not answer."),
            Rejected(Vendor.INTERCOM, "Name is reserved.", status=422),
        ],
    )
    def test_nor_where_intercom_stands_in_the_way(self, mara: Marketer, error: Any) -> None:
        mara.get(at("mapping"))
        mara.world.intercom.fail("create_attribute", error)
        mara.send(422, create="url", name_url="Another")
        assert str(error) in mara.words

    def test_a_field_that_was_added_to_the_campaign_meanwhile_can_be_named(self, mara: Marketer) -> None:
        mara.get(at("mapping"))
        mara.world.referral_factory.campaign_list[0] = Campaign(
            "1", "Summer referral", "summer", "launched", referrers=("Last Name", "Shoe size")
        )
        mara.send(added_to="Shoe size", added_from="custom_attributes.Seats")
        assert mara.path.startswith("/campaigns/1/sync/schedule")


class TestTheNumbers:
    def test_over_the_limit_it_says_what_would_happen(self, mara: Marketer) -> None:
        mara.world.patch("/programs/1", {"user_limit": 3})
        for number in range(5):
            mara.world.intercom.put(f"n{number}@example.com", name="New")
        mara.world.intercom.put("blank@example.com")
        mara.get(at("confirm"))
        mara.send(200, do_="count")
        assert "Contacts in all 6 New to the campaign 5" in mara.words
        assert "2 of the new ones would exceed the user limit." in mara.words
        assert "all referral links of the account stop working" in mara.words
        assert "The user limit is reached" in mara.words
        assert "A mapped value is blank" in mara.words

    def test_what_takes_longer_goes_on_as_a_dry_run(self, mara: Marketer) -> None:
        slow(mara.world, contacts=4, seconds=4)
        mara.get(at("confirm"))
        mara.send(do_="count")
        assert mara.path == "/syncs/1"
        assert "too many contacts to be counted while you wait" in mara.words
        assert "Dry run: nothing is written" in mara.words
        assert [run.dry_run for run in begun(mara.world)] == [True]

    def test_and_is_started_from_there(self, mara: Marketer) -> None:
        slow(mara.world, contacts=4, seconds=4)
        mara.get(at("confirm"))
        mara.send(do_="count")
        with mara.world.database.writing() as connection:
            syncs.change(connection, 1, ["queued"], state="completed", finished_at=mara.world.time, total=4, added=4)
        mara.get("/syncs/1")
        mara.send()
        assert mara.path == "/syncs/2"
        assert [(run.dry_run, run.settings["contacts"]) for run in begun(mara.world)] == [
            (False, "users"),
            (True, "users"),
        ]

    def test_a_script_is_answered_with_the_same_page(self, mara: Marketer) -> None:
        page = mara.get(at("confirm"))
        assert "data-at-once" in page
        mara.post("/campaigns/1/sync/confirm", 200, headers={"X-Part": "count"}, draft=text_of(MAPPED))
        assert 'id="count"' in mara.text
        mara.world.intercom.fail("search", Unavailable(Vendor.INTERCOM, "Intercom did not answer."))
        mara.post("/campaigns/1/sync/confirm", 200, headers={"X-Part": "count"}, draft=text_of(MAPPED))
        assert "Nothing was counted. Intercom did not answer." in mara.words

    def test_a_vendor_that_is_away_is_told_of(self, mara: Marketer) -> None:
        mara.world.intercom.fail("search", Unavailable(Vendor.INTERCOM, "Intercom did not answer."))
        mara.get(at("confirm"))
        mara.send(503, do_="count")
        assert "Intercom can't be reached" in mara.words or "Intercom did not answer" in mara.words
        assert "Start the sync" in mara.words


class TestBesideOthers:
    def test_one_of_the_same_contacts_is_in_the_way_and_says_so(self, mara: Marketer) -> None:
        mara.get(at("confirm"))
        mara.send(do_="start", form=1)
        mara.get(at("confirm", schedule="ongoing"))
        assert "A run of this campaign is not over." in mara.words
        assert "Sync 1 : Only Users" in mara.words
        mara.send(409, do_="start", form=1)
        assert "There is a sync of these contacts that is not over yet: number 1" in mara.words
        assert len(begun(mara.world)) == 1

    def test_one_of_other_contacts_is_not(self, mara: Marketer) -> None:
        mara.get(at("confirm"))
        mara.send(do_="start", form=1)
        mara.get(at("confirm", contacts="leads"))
        mara.send(do_="start", form=1)
        assert len(begun(mara.world)) == 2

    @pytest.mark.parametrize(("where", "said"), [("/workspaces/1", "disconnected"), ("/campaigns/1", "archived")])
    def test_where_none_can_be_made_it_says_why(self, mara: Marketer, where: str, said: str) -> None:
        mara.world.delete(where)
        mara.get("/campaigns/1/sync/contacts")
        assert said in mara.words
        mara.post("/campaigns/1/sync/contacts", 200, contacts="users")
        assert said in mara.words


class TestWhoMayNot:
    def test_a_teammate_without_the_right_sees_it_greyed_and_is_refused(self, mara: Marketer) -> None:
        timo = Marketer(mara.world, "timo@example.com", may_manage=False)
        for step in ("contacts", "segment", "mapping", "schedule", "confirm"):
            page = timo.get(at(step, contacts="segment", segment_id="s001"))
            main = page[page.index("<main") :]
            for field in re.findall(
                r"<(?:button|select|input)\b[^>]*>", re.sub(r"(?s)<fieldset[^>]*\bdisabled\b.*?</fieldset>", "", main)
            ):
                hidden = (
                    'type="hidden"' in field
                    or 'type="search"' in field
                    or field == '<button class="btn btn-outline-secondary">'
                )
                assert hidden or " disabled" in field, field
            assert "data-at-once" not in page
        for do in ("count", "start"):
            timo.post("/campaigns/1/sync/confirm", 403, draft=text_of(MAPPED), do_=do)
        assert begun(mara.world) == []

    def test_nobody_who_is_not_signed_in_comes_in(self, mara: Marketer) -> None:
        stranger = mara.world.app.test_client()
        for path in (
            "/syncs",
            "/syncs/1",
            "/syncs/1/progress",
            "/syncs/1/outcomes.csv",
            at("contacts"),
            "/campaigns/1/backfill",
        ):
            answer = stranger.get(path, base_url=HERE)
            assert (answer.status_code, "/sign-in" in answer.headers["Location"]) == (302, True)


class TestNames:
    @pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
    def test_they_are_shown_as_they_are_and_do_nothing(self, mara: Marketer, name: str) -> None:
        with mara.world.database.writing() as connection:
            campaigns.change(connection, 1, name=name, fields={"leads": [], "referrers": [name]})
            workspaces.change(connection, 1, name=name)
            workspaces.replace_segments(
                connection, 1, [{"id": "s1", "name": name, "person_type": "lead", "count": None}]
            )
            workspaces.replace_attributes(connection, 1, [*ATTRIBUTES, custom(name)])
        mapping = [*MAPPED["mapping"], {"from": f"custom_attributes.{name}", "to": f"meta.{name}"}]
        draft = {"contacts": "segment", "segment_id": "s1"}
        # A name of 10,000 characters is more than a row takes, and is shown all the same.
        mapped = {"mapping": mapping} if len(name) < 200 else {}
        for step in ("contacts", "segment", "mapping", "schedule", "confirm"):
            page = mara.get(at(step, **draft, **mapped))
            assert "<script>alert" not in page
            assert "<img" not in page
            assert " 49 " not in mara.words
            assert len(page) < 150_000
        assert json.loads(json.dumps(draft_in(text_of({**draft, **mapped})))) == {**draft, **mapped}
