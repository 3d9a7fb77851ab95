"""Settings tried before they are saved, and saved from a version that no longer holds."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest

from app.core.errors import InvalidRequest
from app.core.people import Audience
from app.storage import people
from app.storage.people import LATEST, PersonRecord
from app.usecases.keep_settings import compare_settings, keep_settings, settings_of
from app.usecases.set_up_audience import audience_of, keep_audience
from app.usecases.try_settings import Whom, foreseen, trial_of
from tests.product import SETTINGS, Product

LEADS = Audience.LEADS


def record(product: Product, email: str | None, audience: str = "leads", number: int = 1) -> PersonRecord:
    ids = product.campaign_id, audience, product.workspace_id
    return PersonRecord(*ids, None, str(number), None, email, None, None, {}, None, None)


def known(product: Product, email: str | None, audience: str = "leads", number: int = 1) -> None:
    with product.database.writing() as connection:
        people.save(connection, [record(product, email, audience, number)], product.time)


class TestSaving:
    def test_a_version_that_no_longer_holds_is_refused(self, product: Product) -> None:
        with pytest.raises(InvalidRequest) as refused:
            keep_audience(product.services, product.campaign_id, LEADS, SETTINGS, "mara", expected=0)
        assert refused.value.status == 409

    def test_of_two_at_once_one_is_told(self, product: Product) -> None:
        begun, told = Barrier(2), list[Any]()

        def save(duplicates: str) -> None:
            body = {**SETTINGS, "duplicates": duplicates}
            begun.wait()
            try:
                keep_audience(product.services, product.campaign_id, LEADS, body, duplicates, expected=1)
                told.append(duplicates)
            except InvalidRequest as error:
                told.append(error.status)

        threads = [Thread(target=save, args=(name,)) for name in ("update", "fill_blanks")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [one for one in told if one != 409]
        shown = audience_of(product.services, product.campaign_id, LEADS)
        assert (shown.version, shown.settings.duplicates, shown.changed_by) == (2, winner, winner)

    def test_without_an_expectation_whatever_holds_is_replaced(self, product: Product) -> None:
        body = {**SETTINGS, "duplicates": "update"}
        assert keep_audience(product.services, product.campaign_id, LEADS, body, "mara").version == 2


class TestDocuments:
    def test_a_comparison_keeps_nothing(self, product: Product) -> None:
        document = settings_of(product.services, product.campaign_id)
        found = compare_settings(product.services, product.campaign_id, {**document, "user_limit": 7})
        assert found.after is not None
        assert (found.before["user_limit"], found.after["user_limit"], found.errors) == (None, 7, ())
        assert settings_of(product.services, product.campaign_id) == document

    def test_what_was_compared_with_something_else_is_refused(self, product: Product) -> None:
        document = settings_of(product.services, product.campaign_id)
        mark = compare_settings(product.services, product.campaign_id, document).mark
        product.change(duplicates="update")
        with pytest.raises(InvalidRequest) as refused:
            keep_settings(product.services, product.campaign_id, document, "mara", mark)
        assert refused.value.status == 409
        mark = compare_settings(product.services, product.campaign_id, document).mark
        assert keep_settings(product.services, product.campaign_id, document, "mara", mark) == document


class TestTrying:
    def test_unsaved_settings_take_the_place_of_saved_ones(self, product: Product) -> None:
        product.refer()
        product.work_until_idle()
        trial = trial_of(product.services, product.campaign_id, LEADS, {**SETTINGS, "action": "nothing"}, "")
        assert (trial.whom, trial.person.email) == (Whom.LATEST, "friend@example.com")
        assert foreseen(product.services, trial).decision == "nothing"
        assert audience_of(product.services, product.campaign_id, LEADS).version == 1

    def test_the_example_person_costs_referral_factory_no_call(self, product: Product) -> None:
        trial = trial_of(product.services, product.campaign_id, LEADS, SETTINGS, "")
        assert trial.whom is Whom.EXAMPLE
        assert foreseen(product.services, trial).decision == "create"
        assert product.referral_factory.calls == []
        assert product.intercom.called("create") == 0

    @pytest.mark.parametrize("body", [None, [], {"action": "explode"}, {"mapping": [{"to": 7}]}])
    def test_what_cannot_be_read_is_told_and_tried_as_far_as_it_can_be(self, product: Product, body: object) -> None:
        trial = trial_of(product.services, product.campaign_id, LEADS, body, "")
        assert trial.errors
        foreseen(product.services, trial)


class TestSomebody:
    def some(self, product: Product, audience: str = "leads") -> list[str]:
        with product.database.reading() as connection:
            return [row.email for row in people.some_of(connection, product.campaign_id, audience, 2)]

    def test_the_latest_come_first(self, product: Product) -> None:
        for number, email in enumerate(["a@x.test", "b@x.test", None, "c@x.test"], 1):
            known(product, email, number=number)
        known(product, "r@x.test", "referrers", 9)
        assert self.some(product) == ["c@x.test", "b@x.test"]

    def test_who_is_not_among_the_latest_is_found_all_the_same(self, product: Product) -> None:
        known(product, "r@x.test", "referrers")
        records = [record(product, f"l{n}@x.test", number=n) for n in range(2, LATEST + 2)]
        with product.database.writing() as connection:
            people.save(connection, records, product.time)
        assert self.some(product, "referrers") == ["r@x.test"]

    def test_there_may_be_nobody(self, product: Product) -> None:
        assert self.some(product) == []
