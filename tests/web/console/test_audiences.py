"""The settings pages of a campaign's leads and referrers: mapping, mending, trying, versions, and the document."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from typing import Any

import pytest

from app.core.audiences import AttributeType
from app.core.errors import Unavailable, Vendor
from app.core.people import Audience, Role
from app.storage import campaigns, workspaces
from app.storage.database import Database
from tests.fakes import custom
from tests.web.api.conftest import ATTRIBUTES, World, json_of
from tests.web.console.marketer import HERE, Marketer

LEADS, REFERRERS = "/campaigns/1/leads", "/campaigns/1/referrers"
PATH = "custom_attributes."
NASTY = "<script>alert(1)</script> \"quoted\" & 'so' \u202eשלום 🎉 "
SETTINGS: dict[str, Any] = {
    "action": "create_lead",
    "mapping": [
        {"from": {"field": "first_name"}, "to": "name"},
        {"from": {"field": "email"}, "to": "email"},
        {"from": {"value": "Summer"}, "to": f"{PATH}Company"},
    ],
    "duplicates": "skip",
    "qualification": {"attribute": f"{PATH}Plan", "initial_value": "trial", "target_values": ["pro"]},
}
ROWS = {
    "row-0-kind": "dynamic",
    "row-0-field": "first_name",
    "row-0-to": "name",
    "row-1-kind": "dynamic",
    "row-1-field": "email",
    "row-1-to": "email",
}


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.campaign()
    return made


@pytest.fixture
def mara(world: World) -> Marketer:
    return Marketer(world)


def saved(world: World, audience: str = "leads") -> dict[str, Any]:
    return json_of(world.get(f"/campaigns/1/audiences/{audience}"))


def keep(world: World, audience: str = "leads", **changes: Any) -> None:
    answer = world.put(f"/campaigns/1/audiences/{audience}", {**SETTINGS, **changes})
    assert answer.status_code == 200, answer.json


def option(page: str, select: str, value: str) -> str:
    """An option of a menu as it stands on the page."""
    (menu,) = re.findall(rf'(?s)<select[^>]* id="{select}".*?</select>', page)
    (found,) = re.findall(rf'<option value="{re.escape(value)}"[^>]*>[^<]*', menu)
    return str(found)


def at(page: str, place: str) -> str:
    """The faults that are shown at a field."""
    found = re.search(rf'(?s)id="{place}-faults">(.*?)</div>', page)
    return found[1] if found else ""


class TestSettingUp:
    def test_before_anything_is_saved_the_page_says_what_is_missing(self, mara: Marketer) -> None:
        page = mara.get(LEADS)
        assert "Set to do nothing" in page
        assert "Nothing was saved yet" in mara.words
        for words in ("Do nothing", "Create lead", "Create user", "Skip them", "never qualifies"):
            assert words in mara.words

    def test_what_is_chosen_is_saved_in_its_makers_name(self, world: World, mara: Marketer) -> None:
        mara.get(LEADS)
        page = mara.send(
            do_="save",
            action="create_lead",
            duplicates="fill_blanks",
            qualifies="yes",
            trigger=f"{PATH}Plan",
            initial="value",
            initial_value="trial",
            target=["pro", ""],
            **ROWS,
            **{
                "row-2-kind": "dynamic",
                "row-2-field": ["first_name", "meta.Company"],
                "row-2-to": f"{PATH}Company",
                "row-3-kind": "fixed",
                "row-3-fixed": "5",
                "row-3-to": f"{PATH}Seats",
                "row-4-kind": "dynamic",
                "row-4-field": "",
                "row-4-to": "",
            },
        )
        assert "Saved as version 1" in page
        assert "Those who joined before are sent by a backfill" in page
        now = saved(world)
        assert now["mapping"][2:] == [
            {"from": {"join": ["first_name", "meta.Company"]}, "to": f"{PATH}Company"},
            {"from": {"value": "5"}, "to": f"{PATH}Seats"},
        ]
        assert now["qualification"] == SETTINGS["qualification"]
        assert (now["duplicates"], now["changed_by"]) == ("fill_blanks", "mara@example.com")
        assert "mara@example.com" in page

    def test_saving_what_holds_already_makes_no_version(self, world: World, mara: Marketer) -> None:
        keep(world, mapping=[*SETTINGS["mapping"], {"from": {"value": 5}, "to": f"{PATH}Seats"}])
        mara.get(LEADS)
        assert "Nothing was changed" in mara.send(do_="save")
        assert saved(world)["version"] == 1

    def test_referrers_have_no_qualification(self, world: World, mara: Marketer) -> None:
        page = mara.get(REFERRERS)
        assert 'name="qualifies"' not in page
        mara.send(do_="save", action="create_user", qualifies="yes", trigger=f"{PATH}Plan", **ROWS)
        assert saved(world, "referrers")["qualification"] is None

    def test_rows_come_and_go_without_a_script_and_nothing_typed_is_lost(self, mara: Marketer) -> None:
        mara.get(LEADS)
        typed = {"action": "create_user", "row-0-kind": "fixed", "row-0-fixed": "so far", "row-0-to": "name"}
        page = mara.send(200, do_="add_row", **typed)
        assert 'value="so far"' in page
        assert 'id="row-1-kind"' in page
        page = mara.send(200, do_="add_field:1")
        assert 'id="row-1-field-1"' in page
        page = mara.send(200, do_="add_target", qualifies="yes", target="pro")
        assert 'id="target-1"' in page
        page = mara.send(200, do_="remove_row:1")
        assert 'id="row-1-kind"' not in page
        assert 'value="so far"' in page
        assert 'value="create_user" checked' in page

    def test_pressing_a_row_that_is_gone_is_no_crash(self, mara: Marketer) -> None:
        mara.get(LEADS)
        for pressed in ("remove_row:7", "remove_row:x", "add_field:-1", "nonsense"):
            mara.send(200, do_=pressed)

    def test_a_teammate_sees_all_of_it_and_changes_nothing(self, world: World) -> None:
        keep(world)
        tom = Marketer(world, "tom@example.com", may_manage=False)
        page = tom.get(LEADS)
        assert "<fieldset disabled>" in page
        assert "data-preview" not in page
        assert 'value="pro"' in page
        for path in (LEADS, f"{LEADS}/preview", f"{LEADS}/versions/1/restore", "/campaigns/1/settings/apply"):
            tom.post(path, 403, do_="save")
        assert saved(world)["version"] == 1

    def test_a_campaign_that_is_not_there_is_not_found(self, mara: Marketer) -> None:
        for path in ("/campaigns/9/leads", "/campaigns/9/referrers/versions", "/campaigns/9/settings"):
            mara.get(path, 404)


class TestChoices:
    @pytest.mark.parametrize(
        ("path", "why"),
        [
            (f"{PATH}Old one", "archived"),
            (f"{PATH}Locked", "filled from outside"),
            (f"{PATH}Trial ends", "type"),
            (f"{PATH}Plan", "qualif"),
            (f"{PATH}Company", "Another row fills it"),
        ],
    )
    def test_what_cannot_be_chosen_is_greyed_with_its_reason(
        self, world: World, mara: Marketer, path: str, why: str
    ) -> None:
        keep(world)
        found = option(mara.get(LEADS), "row-0-to", path)
        assert " disabled" in found
        assert why.lower() in unescape(found).lower()

    def test_a_row_keeps_its_own_attribute(self, world: World, mara: Marketer) -> None:
        keep(world)
        page = mara.get(LEADS)
        assert " selected" in option(page, "row-2-to", f"{PATH}Company")
        assert " disabled" not in option(page, "row-2-to", f"{PATH}Company")

    def test_an_attribute_that_is_gone_stays_in_its_row_and_the_page_says_so(
        self, world: World, mara: Marketer
    ) -> None:
        keep(world)
        with world.database.writing() as connection:
            workspaces.replace_attributes(connection, 1, [one for one in ATTRIBUTES if one.name != "Company"])
        page = mara.get(LEADS)
        assert " selected" in option(page, "row-2-to", f"{PATH}Company")
        assert "no longer work as they are" in page
        assert "list when we last read it" in at(page, "row-2-to")

    def test_fields_are_shown_with_an_example_of_the_latest_lead(self, world: World, mara: Marketer) -> None:
        keep(world)
        world.person("1", values={"meta.Company": "Acme"})
        page = mara.get(LEADS)
        assert "· Lea" in option(page, "row-0-field", "first_name")
        assert "· Acme" in option(page, "row-0-field", "meta.Company")

    def test_crm_fields_are_rows_of_their_own(self, world: World, mara: Marketer) -> None:
        world.patch("/campaigns/1", {"crm_fields": ["Company", "Gone"]})
        mara.get(LEADS)
        assert "CRM field Company goes to the attribute of the same name" in mara.words
        assert "Intercom has no such attribute" in mara.words

    def test_a_warning_says_what_it_is_about(self, world: World, mara: Marketer) -> None:
        keep(world, mapping=[*SETTINGS["mapping"][:2], {"from": {"field": "url"}, "to": f"{PATH}Seats"}])
        mara.get(LEADS)
        assert "It is about: Seats." in mara.words

    def test_values_of_a_list_are_suggested(self, world: World, mara: Marketer) -> None:
        keep(world)
        assert '<datalist id="trigger-values"><option value="trial"></option><option value="pro">' in mara.get(LEADS)


class TestRefusals:
    def test_each_fault_is_shown_at_its_field_and_nothing_typed_is_lost(self, world: World, mara: Marketer) -> None:
        mara.get(LEADS)
        page = mara.send(
            422,
            do_="save",
            action="create_lead",
            qualifies="yes",
            trigger=f"{PATH}Plan",
            initial="value",
            initial_value="gold",
            target=["", "silver"],
            **ROWS,
            **{
                "row-3-kind": "fixed",
                "row-3-fixed": "many",
                "row-3-to": f"{PATH}Seats",
                "row-5-kind": "dynamic",
                "row-5-field": "code",
                "row-5-to": "email",
                "row-6-kind": "dynamic",
                "row-6-field": "",
                "row-6-to": f"{PATH}Company",
                "row-7-kind": "dynamic",
                "row-7-field": "url",
                "row-7-to": "",
            },
        )
        assert "Nothing was saved" in page
        assert "number" in at(page, "row-2-fixed")
        assert "own email" in at(page, "row-3-field")
        assert at(page, "row-3-to")
        assert "Choose a field" in at(page, "row-4-field")
        assert "Choose the attribute" in at(page, "row-5-to")
        assert "option" in at(page, "initial_value")
        assert "option" in at(page, "target-0")
        assert 'aria-describedby="row-2-fixed-faults"' in page
        for typed in ('value="many"', 'value="gold"', 'value="silver"'):
            assert typed in page
        assert saved(world)["version"] == 0

    def test_a_rule_without_an_attribute_is_asked_for_it(self, mara: Marketer) -> None:
        mara.get(LEADS)
        page = mara.send(422, do_="save", action="create_lead", qualifies="yes", target="pro", **ROWS)
        assert "Choose the attribute whose change" in at(page, "trigger")

    def test_more_rows_than_can_be_kept_are_refused(self, mara: Marketer) -> None:
        mara.get(LEADS)
        rows = {f"row-{number}-{name}": "email" for number in range(302) for name in ("field", "to")}
        assert "Too many rows" in mara.send(422, do_="save", **rows)

    def test_what_is_far_too_long_comes_back_as_it_was_typed(self, mara: Marketer) -> None:
        mara.get(LEADS)
        long = {f"row-{number}-fixed": f"{number}" + "🎉" * 10_000 for number in range(12)}
        kinds = {f"row-{number}-kind": "fixed" for number in range(12)}
        to = {f"row-{number}-to": "phone" for number in range(12)}
        page = mara.send(422, do_="save", **kinds, **long, **to)
        assert at(page, "row-0-fixed")
        assert all(typed in page for typed in long.values())

    def test_who_was_overtaken_sees_by_whom_and_with_what(self, world: World, mara: Marketer) -> None:
        keep(world)
        mara.get(LEADS)
        former = mara.text
        keep(world, duplicates="update")
        mara.answer.set_data(former)
        page = mara.send(409, do_="save", action="create_user")
        assert "Somebody else has saved these settings meanwhile" in page
        assert "owner@example.com" in page
        assert "People who are in Intercom already : was Skip them , now Update them" in mara.words
        assert saved(world)["version"] == 2
        assert 'value="create_user" checked' in page
        assert "Saved as version 3" in mara.send(do_="save")
        now = saved(world)
        assert (now["action"], now["duplicates"]) == ("create_user", "skip")


class TestCreatingAnAttribute:
    def test_it_is_made_in_intercom_and_chosen_in_a_row(self, world: World, mara: Marketer) -> None:
        mara.get(LEADS)
        page = mara.send(
            200,
            do_="create_attribute",
            new_name="Colour",
            new_type="list",
            new_options="red\r\nblue\r\n",
            **{"row-0-kind": "dynamic", "row-0-field": "source", "row-0-to": ""},
        )
        assert world.intercom.catalogue[f"{PATH}Colour"].options == ("red", "blue")
        assert "is in Intercom now" in page
        assert " selected" in option(page, "row-0-to", f"{PATH}Colour")
        assert " selected" in option(page, "row-0-field", "source")

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"new_name": ""}, "must not be blank"),
            ({"new_name": "a.b"}, "neither a dot"),
            ({"new_name": "Company"}, "there already"),
            ({"new_name": "One", "new_type": "list", "new_options": "only"}, "at least two"),
            ({"new_name": "One", "new_type": "explosive"}, "must be one of"),
        ],
    )
    def test_what_cannot_be_made_is_said_at_its_field(self, mara: Marketer, given: dict[str, str], said: str) -> None:
        mara.get(LEADS)
        page = mara.send(200, do_="create_attribute", **given, **{"row-0-kind": "fixed", "row-0-fixed": "so far"})
        assert said in page
        assert 'value="so far"' in page

    @pytest.mark.parametrize(
        ("pressed", "call"), [("create_attribute", "create_attribute"), ("refresh", "attributes")]
    )
    def test_intercom_being_away_costs_nothing_typed(
        self, world: World, mara: Marketer, pressed: str, call: str
    ) -> None:
        mara.get(LEADS)
        world.intercom.fail(call, Unavailable(Vendor.INTERCOM, "Intercom did not answer."), times=3)
        page = mara.send(200, do_=pressed, new_name="Colour", **{"row-0-kind": "fixed", "row-0-fixed": "so far"})
        assert "Intercom can&#39;t be reached" in page
        assert 'value="so far"' in page
        assert 'value="Colour"' in page

    def test_attributes_are_read_anew_by_a_button(self, world: World, mara: Marketer) -> None:
        mara.get(LEADS)
        world.intercom.catalogue[f"{PATH}Late"] = custom("Late")
        page = mara.send(200, do_="refresh", **ROWS)
        assert "attributes were read from Intercom" in page
        assert option(page, "row-0-to", f"{PATH}Late")


class TestTrying:
    def shown(self, mara: Marketer, **changes: Any) -> str:
        """The parts that follow the form, as the script asks for them."""
        mara.get(LEADS)
        return mara.post(f"{LEADS}/preview", 200, **{**mara_form(), **changes})

    def test_the_latest_lead_is_previewed_field_by_field(self, world: World, mara: Marketer) -> None:
        world.person("1", values={"meta.Company": "Acme"}, contact_id=None, contact_role=None)
        page = self.shown(mara, **{"row-2-field": "meta.Company", "row-2-to": f"{PATH}Seats"})
        assert "The latest lead: Lea , lea@example.com" in mara.words
        assert "Would be created in Intercom as a lead" in mara.words
        assert "Lea Written" in mara.words
        assert "value_wrong_type" in page
        assert world.intercom.contacts == {}

    def test_the_initial_value_is_among_what_is_written(self, mara: Marketer) -> None:
        self.shown(mara, qualifies="yes", trigger=f"{PATH}Plan", initial="value", initial_value="trial", target="pro")
        assert "Plan trial The initial value" in mara.words
        assert "Later Plan changes to “ pro ”" in mara.words

    def test_without_people_an_example_stands_in(self, mara: Marketer) -> None:
        self.shown(mara)
        assert "This campaign has no lead yet, so an example person stands in: Frida" in mara.words

    def test_nobody_of_an_email_is_said(self, world: World, mara: Marketer) -> None:
        world.person("1")
        self.shown(mara, person="nobody@example.com")
        assert "No lead of this campaign has this email yet" in mara.words
        assert "nobody@example.com" in mara.words

    def test_whoever_is_chosen_is_previewed(self, world: World, mara: Marketer) -> None:
        world.person("1")
        world.person("1", email="zoe@example.com", first_name="Zoe", referral_factory_id="8", code="zoe")
        self.shown(mara, person=" LEA@example.com ")
        assert "The lead you chose: Lea" in mara.words

    @pytest.mark.parametrize(
        ("duplicates", "said"),
        [
            ("skip", "Nothing would be written to Intercom"),
            ("update", "Intercom already, as a user, and would be updated"),
        ],
    )
    def test_who_is_there_already_is_treated_as_chosen(
        self, world: World, mara: Marketer, duplicates: str, said: str
    ) -> None:
        world.intercom.put("lea@example.com", Role.USER, name="Old name")
        world.person("1", contact_id=None, contact_role=None)
        self.shown(mara, duplicates=duplicates)
        assert said in mara.words
        assert world.intercom.called("update") == 0

    def test_faults_are_counted_and_the_rest_is_tried(self, mara: Marketer) -> None:
        self.shown(mara, **{"row-2-field": "code", "row-2-to": f"{PATH}Nowhere"})
        assert "1 entry on this page would be refused" in mara.words

    def test_what_is_missing_is_named(self, mara: Marketer) -> None:
        self.shown(mara, **{"row-0-to": "phone"})
        assert "Name is not mapped yet" in mara.words

    def test_a_vendor_that_is_away_is_said_in_words(self, world: World, mara: Marketer) -> None:
        world.intercom.fail("search_email", Unavailable(Vendor.INTERCOM, "Intercom did not answer."))
        self.shown(mara)
        assert "Intercom can't be reached" in mara.words

    def test_without_a_script_a_button_shows_the_same(self, mara: Marketer) -> None:
        mara.get(LEADS)
        mara.send(200, do_="preview", **mara_form())
        assert "Would be created in Intercom as a lead" in mara.words


def mara_form() -> dict[str, Any]:
    return {"action": "create_lead", "duplicates": "skip", "qualifies": "no", **ROWS, "row-2-kind": "dynamic"}


class TestVersions:
    def test_each_is_told_with_what_it_changed_and_can_be_restored(self, world: World, mara: Marketer) -> None:
        keep(world)
        keep(world, duplicates="update", mapping=SETTINGS["mapping"][:2])
        mara.get(f"{LEADS}/versions")
        assert "Company in Intercom is filled from : was the fixed value “Summer” , now no longer" in mara.words
        page = mara.send()
        assert "Version 1 holds again, as version 3" in page
        now = saved(world)
        assert now["mapping"] == SETTINGS["mapping"]
        assert now["changed_by"] == "mara@example.com"

    def test_restoring_what_no_longer_works_opens_it_to_be_mended(self, world: World, mara: Marketer) -> None:
        keep(world)
        keep(world, mapping=SETTINGS["mapping"][:2], duplicates="update")
        with world.database.writing() as connection:
            workspaces.replace_attributes(connection, 1, [one for one in ATTRIBUTES if one.name != "Company"])
        mara.get(f"{LEADS}/versions")
        page = mara.send(422)
        assert at(page, "row-2-to")
        assert 'value="Summer"' in page
        assert saved(world)["version"] == 2
        assert "Saved as version 3" in mara.send(do_="save", **{"row-2-fixed": "", "row-2-to": ""})

    def test_restoring_over_what_somebody_has_saved_meanwhile_is_refused(self, world: World, mara: Marketer) -> None:
        keep(world)
        keep(world, duplicates="update")
        mara.get(f"{LEADS}/versions")
        former = mara.text
        keep(world, duplicates="fill_blanks")
        mara.answer.set_data(former)
        assert "Somebody else has saved these settings meanwhile" in mara.send(409)
        assert saved(world)["version"] == 3

    def test_older_ones_are_on_further_pages(self, world: World, mara: Marketer) -> None:
        for number in range(23):
            keep(world, mapping=[*SETTINGS["mapping"][:2], {"from": {"value": str(number)}, "to": "phone"}])
        page = mara.get(f"{LEADS}/versions")
        assert "Version 4 Restore" in mara.words
        assert "Version 3 Restore" not in mara.words
        (older,) = re.findall(r'href="([^"]+)" rel="next"', page)
        mara.get(older)
        assert "Version 3 " in mara.words
        assert "Version 1 " in mara.words

    def test_without_any_the_page_says_so(self, mara: Marketer) -> None:
        mara.get(f"{REFERRERS}/versions")
        assert "Nothing was saved yet" in mara.words

    def test_one_that_never_was_is_not_found(self, mara: Marketer) -> None:
        mara.post(f"{LEADS}/versions/7/restore", 404)


class TestDocument:
    def test_it_is_downloaded_as_the_api_has_it(self, world: World, mara: Marketer) -> None:
        keep(world)
        mara.get("/campaigns/1/settings.json")
        assert "attachment" in mara.answer.headers["Content-Disposition"]
        assert mara.answer.get_json() == json_of(world.get("/campaigns/1/settings"))

    def test_loading_shows_the_differences_first_and_applies_them_then(self, world: World, mara: Marketer) -> None:
        keep(world)
        document = json_of(world.get("/campaigns/1/settings"))
        document["user_limit"] = 500
        document["crm_fields"] = ["Company"]
        document["audiences"]["leads"] = {**SETTINGS, "mapping": SETTINGS["mapping"][:2], "duplicates": "update"}
        mara.get("/campaigns/1/settings")
        upload = (io.BytesIO(json.dumps(document).encode()), "settings.json")
        page = mara.post("/campaigns/1/settings", 200, file=upload)
        assert "User limit of the campaign : was none , now 500" in mara.words
        assert "CRM fields : was none , now Company" in mara.words
        assert "People who are in Intercom already : was Skip them , now Update them" in mara.words
        assert saved(world)["version"] == 1
        (mark,) = re.findall(r'name="mark" value="([^"]+)"', page)
        mara.post("/campaigns/1/settings/apply", mark=mark, document=json.dumps(document))
        assert json_of(world.get("/campaigns/1/settings")) == document

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[]", "can't be loaded as it is"),
            ("{}", "can't be loaded as it is"),
            ('"text"', "can't be loaded as it is"),
            ('{"\\ud800": 1}', "can't be loaded as it is"),
            (
                '{"audiences": {"leads": {"mapping": [{"from": {"value": "\\ud800"}, "to": "phone"}]}}}',
                "can't be loaded",
            ),
            (NASTY, "not JSON"),
        ],
    )
    def test_what_is_no_document_is_refused_in_words(self, mara: Marketer, document: str, said: str) -> None:
        page = mara.post("/campaigns/1/settings", 422, document=document)
        assert said in mara.words
        assert "<script>alert" not in page

    def test_faults_are_named_with_their_places(self, world: World, mara: Marketer) -> None:
        document = json_of(world.get("/campaigns/1/settings"))
        document["audiences"]["leads"] = {**SETTINGS, "mapping": [{"from": {"field": "email"}, "to": f"{PATH}No"}]}
        mara.post("/campaigns/1/settings", 422, document=json.dumps(document))
        assert "/audiences/leads/mapping/0/to" in mara.words
        mara.post("/campaigns/1/settings/apply", 422, mark="x" * 64, document="nonsense")

    def test_the_same_again_changes_nothing(self, world: World, mara: Marketer) -> None:
        keep(world)
        document = json.dumps(json_of(world.get("/campaigns/1/settings")))
        mara.post("/campaigns/1/settings", 200, document=document)
        assert "Nothing: these are the settings that hold already" in mara.words

    def test_what_was_changed_since_it_was_compared_is_not_overwritten(self, world: World, mara: Marketer) -> None:
        document = json_of(world.get("/campaigns/1/settings"))
        document["user_limit"] = 500
        page = mara.post("/campaigns/1/settings", 200, document=json.dumps(document))
        (mark,) = re.findall(r'name="mark" value="([^"]+)"', page)
        keep(world)
        mara.post("/campaigns/1/settings/apply", 409, mark=mark, document=json.dumps(document))
        assert "Somebody else has changed these settings meanwhile" in mara.words
        assert "was Create lead , now Do nothing" in mara.words
        assert saved(world)["version"] == 1


@pytest.mark.parametrize("nasty", [NASTY, NASTY + "x" * 10_000, "🎉" * 3000, "\u202e" + "ש" * 10_000], ids=len)
def test_names_of_all_kinds_are_harmless(world: World, mara: Marketer, nasty: str) -> None:
    with world.database.writing() as connection:
        odd = custom(nasty, AttributeType.LIST, options=(nasty, f"{nasty}2"))
        workspaces.replace_attributes(connection, 1, [*ATTRIBUTES, odd])
        campaigns.change(
            connection, 1, name=nasty, fields={"leads": [nasty], "referrers": [nasty]}, crm_fields=[nasty]
        )
        campaigns.add_audience_version(
            connection,
            1,
            Audience.LEADS,
            {
                "action": "create_lead",
                "mapping": [*SETTINGS["mapping"][:2], {"from": {"value": nasty[:250]}, "to": f"{PATH}Company"}],
                "duplicates": "skip",
                "qualification": {
                    "attribute": f"{PATH}Plan",
                    "initial_value": nasty[:250],
                    "target_values": [nasty[:250]],
                },
            },
            complete=True,
            changed_at=world.time,
            changed_by=nasty,
        )
    world.person("1", first_name=nasty, values={f"meta.{nasty}": nasty}, contact_id=None, contact_role=None)
    for path in (LEADS, REFERRERS, f"{LEADS}/versions", "/campaigns/1/settings"):
        assert_harmless(mara.get(path))
    mara.get(LEADS)
    assert_harmless(mara.send(200, do_="preview"))
    assert_harmless(mara.send(422, do_="save", trigger=nasty, new_name=nasty, person=nasty))
    assert_harmless(mara.send(200, do_="create_attribute", new_name=nasty, new_options=nasty))


def assert_harmless(page: str) -> None:
    assert "<script>alert" not in page
    assert 'value=""quoted"' not in page
    menus = re.findall(r"<option[^>]*>([^<]*)", page)
    assert all(len(text) < 300 for text in menus)


def test_the_pages_have_no_code_and_no_styles_in_them(world: World, mara: Marketer) -> None:
    keep(world)
    answer = mara.client.get(LEADS, base_url=HERE)
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert " style=" not in answer.text
    assert "<script>" not in answer.text
