import re

import pytest

from app.core.causes import CATALOGUE, Cause

CONTRACT = [
    "action_is_nothing",
    "name_not_mapped",
    "email_not_mapped",
    "missing_required_value",
    "invalid_email",
    "attribute_unknown",
    "attribute_archived",
    "attribute_not_writable",
    "attribute_already_mapped",
    "attribute_taken_by_crm_field",
    "unsupported_attribute_type",
    "value_wrong_type",
    "value_too_long",
    "value_not_an_option",
    "value_refused_by_intercom",
    "attribute_not_single_line_text",
    "duplicate_skipped",
    "archived_contact",
    "several_contacts_match",
    "joined_before_setup",
    "campaign_mismatch",
    "not_a_tracked_lead",
    "only_leads_qualify",
    "attribute_not_the_trigger",
    "initial_value_mismatch",
    "value_not_a_target",
    "already_converted",
    "already_qualified",
    "existed_before_and_not_updated",
    "unknown_in_referral_factory",
    "already_in_campaign",
    "blank_mapped_value",
    "user_limit_reached",
    "segment_unknown",
    "segment_gone",
    "sync_is_one_time",
    "waiting_in_queue",
    "intercom_unauthorized",
    "intercom_permission_missing",
    "intercom_unavailable",
    "referral_factory_unauthorized",
    "referral_factory_unavailable",
    "rate_limited",
    "teammate_not_permitted",
    "workspace_disconnected",
    "webhook_not_understood",
    "topic_without_meaning",
    "webhook_missed",
    "not_in_payload",
    "self_referral",
    "superseded",
    "contact_archived",
    "contact_deleted",
    "contact_merged",
    "several_people_match",
    "referral_factory_refused",
    "cursor_repeated",
    "campaign_archived",
    "attribute_is_the_trigger",
    "erased_on_request",
    "already_exists",
    "not_found",
    "invalid_request",
    "unauthenticated",
    "internal_error",
]

JARGON = re.compile(
    r"\b(HTTP|JSON|HMAC|null|payload|boolean|integer|string|4\d\d|5\d\d|regex|endpoint|cursor)\b", re.I
)


def test_every_cause_of_the_contract_is_there_and_every_cause_has_its_text():
    assert set(CONTRACT) <= set(Cause)
    assert list(CATALOGUE) == list(Cause)


@pytest.mark.parametrize("text", CATALOGUE.values(), ids=lambda text: text.id)
def test_a_text_is_made_of_whole_sentences_in_plain_words(text):
    assert not text.title.endswith(".")
    assert text.explanation.endswith(".")
    assert text.remedy.endswith(".")
    words = " ".join([text.title, text.explanation, text.remedy])
    assert "  " not in words
    assert not JARGON.search(words)


def test_no_two_causes_share_a_title_and_the_wire_form_names_its_id():
    assert len({text.title for text in CATALOGUE.values()}) == len(CATALOGUE)
    assert CATALOGUE[Cause.RATE_LIMITED].as_dict()["id"] == "rate_limited"
    assert set(CATALOGUE[Cause.RATE_LIMITED].as_dict()) == {"id", "title", "explanation", "remedy"}
