"""Why something did not happen: the closed catalogue of causes, in words for the person who set it up.

Every skip, failure, refusal and partial write names one of these. A text says what happened and what can be done
about it; it never blames, and it never needs a second page to be understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import MappingProxyType


class Cause(StrEnum):
    """The ids, which are public interface. Grouped by where they come up, not by the alphabet."""

    # Setting up an audience
    ACTION_IS_NOTHING = "action_is_nothing"
    NAME_NOT_MAPPED = "name_not_mapped"
    EMAIL_NOT_MAPPED = "email_not_mapped"

    # An attribute that can't be chosen or written
    ATTRIBUTE_UNKNOWN = "attribute_unknown"
    ATTRIBUTE_ARCHIVED = "attribute_archived"
    ATTRIBUTE_NOT_WRITABLE = "attribute_not_writable"
    ATTRIBUTE_ALREADY_MAPPED = "attribute_already_mapped"
    ATTRIBUTE_TAKEN_BY_CRM_FIELD = "attribute_taken_by_crm_field"
    ATTRIBUTE_IS_THE_TRIGGER = "attribute_is_the_trigger"
    ATTRIBUTE_NOT_SINGLE_LINE_TEXT = "attribute_not_single_line_text"
    ATTRIBUTE_SHARED_BY_CAMPAIGNS = "attribute_shared_by_campaigns"
    UNSUPPORTED_ATTRIBUTE_TYPE = "unsupported_attribute_type"

    # A value that can't be sent
    MISSING_REQUIRED_VALUE = "missing_required_value"
    INVALID_EMAIL = "invalid_email"
    NOT_IN_PAYLOAD = "not_in_payload"
    VALUE_WRONG_TYPE = "value_wrong_type"
    VALUE_TOO_LONG = "value_too_long"
    VALUE_NOT_AN_OPTION = "value_not_an_option"
    VALUE_REFUSED_BY_INTERCOM = "value_refused_by_intercom"

    # A person who is not sent, or not as expected
    DUPLICATE_SKIPPED = "duplicate_skipped"
    EXISTING_VALUE_KEPT = "existing_value_kept"
    ARCHIVED_CONTACT = "archived_contact"
    SEVERAL_CONTACTS_MATCH = "several_contacts_match"
    JOINED_BEFORE_SETUP = "joined_before_setup"
    CAMPAIGN_MISMATCH = "campaign_mismatch"
    CAMPAIGN_ARCHIVED = "campaign_archived"
    SELF_REFERRAL = "self_referral"
    SUPERSEDED = "superseded"
    ERASED_ON_REQUEST = "erased_on_request"

    # A lead that does not qualify
    NOT_A_TRACKED_LEAD = "not_a_tracked_lead"
    ONLY_LEADS_QUALIFY = "only_leads_qualify"
    ATTRIBUTE_NOT_THE_TRIGGER = "attribute_not_the_trigger"
    INITIAL_VALUE_MISMATCH = "initial_value_mismatch"
    VALUE_NOT_A_TARGET = "value_not_a_target"
    ALREADY_CONVERTED = "already_converted"
    ALREADY_QUALIFIED = "already_qualified"
    EXISTED_BEFORE_AND_NOT_UPDATED = "existed_before_and_not_updated"
    UNKNOWN_IN_REFERRAL_FACTORY = "unknown_in_referral_factory"
    SEVERAL_PEOPLE_MATCH = "several_people_match"
    REFERRAL_FACTORY_REFUSED = "referral_factory_refused"
    CONTACT_ARCHIVED = "contact_archived"
    CONTACT_DELETED = "contact_deleted"
    CONTACT_MERGED = "contact_merged"

    # A contact that is not synced
    ALREADY_IN_CAMPAIGN = "already_in_campaign"
    BLANK_MAPPED_VALUE = "blank_mapped_value"
    USER_LIMIT_REACHED = "user_limit_reached"
    SEGMENT_UNKNOWN = "segment_unknown"
    SEGMENT_GONE = "segment_gone"
    SYNC_IS_ONE_TIME = "sync_is_one_time"
    CURSOR_REPEATED = "cursor_repeated"
    CONTACT_NOT_MATCHED = "contact_not_matched"
    LINK_NOT_MAPPED = "link_not_mapped"

    # The connections
    INTERCOM_UNAUTHORIZED = "intercom_unauthorized"
    INTERCOM_PERMISSION_MISSING = "intercom_permission_missing"
    INTERCOM_UNAVAILABLE = "intercom_unavailable"
    REFERRAL_FACTORY_UNAUTHORIZED = "referral_factory_unauthorized"
    REFERRAL_FACTORY_UNAVAILABLE = "referral_factory_unavailable"
    RATE_LIMITED = "rate_limited"
    WORKSPACE_DISCONNECTED = "workspace_disconnected"
    TEAMMATE_NOT_PERMITTED = "teammate_not_permitted"

    # What arrives, and what waits
    WAITING_IN_QUEUE = "waiting_in_queue"
    WEBHOOK_NOT_UNDERSTOOD = "webhook_not_understood"
    WEBHOOK_MISSED = "webhook_missed"
    TOPIC_WITHOUT_MEANING = "topic_without_meaning"

    # The installation
    CLOCK_DIFFERS = "clock_differs"
    DISK_NEARLY_FULL = "disk_nearly_full"
    NO_WORKER_RUNS = "no_worker_runs"
    REDIS_UNREACHABLE = "redis_unreachable"

    # Requests to this API
    ALREADY_EXISTS = "already_exists"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    UNAUTHENTICATED = "unauthenticated"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class CauseText:
    """A cause as people read it. ``explanation`` says what happened, ``remedy`` what to do, both in sentences."""

    id: Cause
    title: str
    explanation: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        return {**asdict(self), "id": self.id.value}


_TEXTS = (
    # Setting up an audience
    CauseText(
        Cause.ACTION_IS_NOTHING,
        "Set to do nothing",
        "This audience's action is “Do nothing”, so nobody from it is sent to Intercom.",
        "If these people should arrive in Intercom, change the action to “Create lead” or “Create user” and save.",
    ),
    CauseText(
        Cause.NAME_NOT_MAPPED,
        "Name is not mapped yet",
        "No row of the mapping fills the name in Intercom. Nobody is sent until both name and email are mapped.",
        "Add a row to the mapping that goes to Name, for example from First name, and save.",
    ),
    CauseText(
        Cause.EMAIL_NOT_MAPPED,
        "Email is not mapped yet",
        "No row of the mapping fills the email in Intercom. Nobody is sent until both name and email are mapped.",
        "Add a row to the mapping from Email to Email and save.",
    ),
    # An attribute that can't be chosen or written
    CauseText(
        Cause.ATTRIBUTE_UNKNOWN,
        "Intercom has no such attribute",
        "The attribute was not in the list when we last read it from Intercom. It may be new, renamed or deleted.",
        "Click “Refresh attributes”. If it is still missing, create it in Intercom, or choose another in the "
        "mapping.",
    ),
    CauseText(
        Cause.ATTRIBUTE_ARCHIVED,
        "The attribute is archived",
        "Somebody archived this attribute in Intercom, and Intercom takes no values for archived attributes. "
        "The rest of the person's data is sent as usual.",
        "Restore the attribute in Intercom and click “Refresh attributes”, or choose another in the mapping.",
    ),
    CauseText(
        Cause.ATTRIBUTE_NOT_WRITABLE,
        "The attribute can't be filled from outside",
        "Some attributes can't be a target: those Intercom fills itself, such as Last seen, and those that "
        "decide who "
        "a contact is, such as its role or external ID.",
        "Choose another attribute, or create one of your own in Intercom and map to that.",
    ),
    CauseText(
        Cause.ATTRIBUTE_ALREADY_MAPPED,
        "The attribute is already mapped",
        "Another row of this mapping goes to the same attribute. One of them would overwrite the other, "
        "so each attribute can be chosen only once.",
        "Delete one of the two rows, or choose another attribute for it.",
    ),
    CauseText(
        Cause.ATTRIBUTE_TAKEN_BY_CRM_FIELD,
        "A CRM field fills this attribute",
        "The campaign has a CRM field of the same name. It fills this attribute by itself, so that the attribute "
        "can't be chosen again by hand.",
        "Nothing is needed if the CRM field is what you want. Otherwise choose another attribute, "
        "or take the name off the CRM fields in the campaign's settings.",
    ),
    CauseText(
        Cause.ATTRIBUTE_IS_THE_TRIGGER,
        "This attribute decides who qualifies",
        "The attribute is the trigger of this audience's qualification rule. If a field of the sign-up form "
        "filled it, "
        "visitors could qualify themselves by what they type.",
        "Map the field to another attribute, or choose another trigger in the qualification rule.",
    ),
    CauseText(
        Cause.ATTRIBUTE_NOT_SINGLE_LINE_TEXT,
        "A link needs a single-line text attribute",
        "Referral links can be long and must arrive unchanged. Only text attributes of one line, without a list of "
        "options, can hold them.",
        "Choose a text attribute with one line and no length limit, or create one in Intercom and click "
        "“Refresh attributes”.",
    ),
    CauseText(
        Cause.ATTRIBUTE_SHARED_BY_CAMPAIGNS,
        "Two campaigns share this link attribute",
        "Another campaign writes its referral link to the same attribute. For someone who is in both campaigns, "
        "the link that is written last replaces the other one.",
        "Create one link attribute per campaign in Intercom, and map each campaign's link to its own.",
    ),
    CauseText(
        Cause.UNSUPPORTED_ATTRIBUTE_TYPE,
        "This type of attribute can't be filled",
        "Text, number, true/false and list attributes can be filled. Date and decimal attributes can be filled once "
        "extended types are switched on for the campaign; references to other objects never.",
        "Switch on extended types in the campaign's settings for dates and decimals, or map to a text attribute.",
    ),
    # A value that can't be sent
    CauseText(
        Cause.MISSING_REQUIRED_VALUE,
        "Name or email is empty",
        "The person has no name or no email address in Referral Factory. Nobody is sent without both.",
        "Complete the person in Referral Factory, and make name and email required in the campaign's sign-up form. "
        "Then replay the event.",
    ),
    CauseText(
        Cause.INVALID_EMAIL,
        "The email address is not valid",
        "What was given as the email can't be an email address, so the person can't be written to or recognised "
        "later.",
        "Correct the address where the person comes from, then replay the event or run the sync again.",
    ),
    CauseText(
        Cause.NOT_IN_PAYLOAD,
        "No value for this field",
        "The field was empty or missing for this person, so it was left out. What stands in Intercom was not "
        "touched.",
        "Nothing is needed if the person left it blank. If it should have a value, check in Referral Factory "
        "that the "
        "form asks for it and that the row's field name matches the form's label.",
    ),
    CauseText(
        Cause.VALUE_WRONG_TYPE,
        "The value doesn't fit the attribute's type",
        "The attribute expects another kind of value: whole numbers like 12, true/false or yes/no, decimals with a "
        "point, dates like 2026-03-31. Such a field is left out; the rest of the person is sent.",
        "Change the question in the form so that it gives such a value, or map the field to a text attribute.",
    ),
    CauseText(
        Cause.VALUE_TOO_LONG,
        "The text is longer than 255 characters",
        "Intercom keeps at most 255 characters in a text attribute. We never cut a text, for half a link is no link, "
        "so the field is left out; the rest of the person is sent.",
        "Limit the length of the answer in the form, or shorten the fixed text in the mapping.",
    ),
    CauseText(
        Cause.VALUE_NOT_AN_OPTION,
        "The value is not one of the list's options",
        "The attribute is a list, and the value is not among its options. Capital letters don't matter, the wording "
        "does. Such a field is left out; the rest of the person is sent.",
        "Add the value to the list's options in Intercom and click “Refresh attributes”, or offer the same "
        "options in "
        "the form.",
    ),
    CauseText(
        Cause.VALUE_REFUSED_BY_INTERCOM,
        "Intercom did not take the value",
        "Intercom refused the value or silently ignored it. Mostly a validation rule of the attribute is the reason, "
        "such as a format or a length limit.",
        "In Intercom, open the attribute's settings and compare its rules with the value. Relax the rule, "
        "or map the field to another attribute.",
    ),
    # A person who is not sent, or not as expected
    CauseText(
        Cause.DUPLICATE_SKIPPED,
        "Already in Intercom, left untouched",
        "A contact with this email already existed in Intercom, and duplicates are set to “Skip”.",
        "If existing contacts should be filled in as well, set duplicates to “Update” or “Fill blanks”, "
        "then replay the event.",
    ),
    CauseText(
        Cause.EXISTING_VALUE_KEPT,
        "What stood there was kept",
        "Duplicates are set to “Fill blanks”, so a value that stood in Intercom already was not overwritten.",
        "If what Referral Factory says should count, set duplicates to “Update”, then replay the event.",
    ),
    CauseText(
        Cause.ARCHIVED_CONTACT,
        "The matching contact is archived",
        "Intercom has an archived contact with this email. It was left as it is, because duplicates are set to "
        "“Skip” "
        "or because Intercom can't restore it any more.",
        "Restore the contact in Intercom, or set duplicates to “Update” or “Fill blanks”, and replay the event. "
        "A contact that was deleted for good can't be brought back.",
    ),
    CauseText(
        Cause.SEVERAL_CONTACTS_MATCH,
        "Several users have this email",
        "More than one user in Intercom has this email, so it is not certain who is meant, and none was changed.",
        "The detail lists the contacts. Keep the right one in Intercom, archive or change the others, "
        "then replay the event.",
    ),
    CauseText(
        Cause.JOINED_BEFORE_SETUP,
        "Joined before the audience was set up",
        "The person joined the campaign before action, name and email were set up here, so they were not sent.",
        "Run a backfill for the audience. It shows first how many would be created, updated and skipped.",
    ),
    CauseText(
        Cause.CAMPAIGN_MISMATCH,
        "The person belongs to another campaign",
        "The webhook came to this campaign's address, but the person in it belongs to another campaign.",
        "In Referral Factory, check that each campaign's webhook has the address shown in that campaign's settings "
        "here.",
    ),
    CauseText(
        Cause.CAMPAIGN_ARCHIVED,
        "The campaign is archived here",
        "The campaign was archived in Referloop. Its webhooks are still accepted, but nothing is done with them.",
        "Add the campaign again if it should go on; its settings are still there. "
        "Otherwise remove its webhooks in Referral Factory.",
    ),
    CauseText(
        Cause.SELF_REFERRAL,
        "Referred by their own email",
        "The lead and the referrer have the same email address. The person was sent as both, and marked.",
        "Decide whether this referral should count, and disqualify it by hand if not.",
    ),
    CauseText(
        Cause.SUPERSEDED,
        "Something newer was already written",
        "This change arrived after a newer one for the same person had been written, so the older one was dropped.",
        "Nothing is needed: Intercom has the newer state.",
    ),
    CauseText(
        Cause.ERASED_ON_REQUEST,
        "Erased on request",
        "This person's data was erased here, so syncs, backfills and checks pass them by.",
        "Nothing is needed. If the person signs up again, they are treated as new.",
    ),
    # A lead that does not qualify
    CauseText(
        Cause.NOT_A_TRACKED_LEAD,
        "Not one of your leads",
        "The contact that changed in Intercom is not a lead of a campaign here, so there is nothing to qualify.",
        "Nothing is needed. If you expected a lead, check that they joined the campaign and were sent to Intercom.",
    ),
    CauseText(
        Cause.ONLY_LEADS_QUALIFY,
        "Only leads can qualify",
        "The person is a referrer in this campaign. Qualification is for the people who were referred.",
        "Set up the qualification rule for the leads. If this person was referred too, look them up as a lead.",
    ),
    CauseText(
        Cause.ATTRIBUTE_NOT_THE_TRIGGER,
        "Another attribute changed",
        "Something about the contact changed, but not the attribute that the qualification rule watches.",
        "If this attribute should qualify leads, choose it as the trigger in the qualification rule.",
    ),
    CauseText(
        Cause.INITIAL_VALUE_MISMATCH,
        "The initial value has not been seen yet",
        "The rule asks for the initial value first and a target value after it. So far the attribute had "
        "another value than the initial one.",
        "Check the spelling of the initial value in the rule, or leave it empty so that any value may come first.",
    ),
    CauseText(
        Cause.VALUE_NOT_A_TARGET,
        "Not a target value yet",
        "The trigger attribute has a value that is not among the rule's target values. An empty target never counts.",
        "If this value should qualify leads, add it to the target values exactly as Intercom shows it.",
    ),
    CauseText(
        Cause.ALREADY_CONVERTED,
        "Was a customer before the referral",
        "The trigger attribute already had a target value when we first saw this contact, so the referral did not "
        "bring the conversion.",
        "Nothing is needed if they were a customer before. If this referral should count all the same, "
        "qualify the person by hand.",
    ),
    CauseText(
        Cause.ALREADY_QUALIFIED,
        "Already qualified",
        "This lead is already qualified in the campaign, and each lead qualifies once.",
        "Nothing is needed.",
    ),
    CauseText(
        Cause.EXISTED_BEFORE_AND_NOT_UPDATED,
        "Was in Intercom before and was skipped",
        "The contact existed before the referral and was skipped as a duplicate, so it is not followed and can't "
        "qualify.",
        "Set duplicates to “Update” or “Fill blanks” and replay the person's event, or qualify them by hand.",
    ),
    CauseText(
        Cause.UNKNOWN_IN_REFERRAL_FACTORY,
        "Referral Factory doesn't know this person",
        "Referral Factory has nobody in this campaign with the ID, code or email we have. "
        "The person may have been deleted there.",
        "Look the person up in Referral Factory. If they are there under another email, correct it and try again.",
    ),
    CauseText(
        Cause.SEVERAL_PEOPLE_MATCH,
        "Several people in the campaign match",
        "More than one person in the campaign has this email, so it is not certain whose referral it is.",
        "In Referral Factory, keep one of them, or qualify the right one by hand.",
    ),
    CauseText(
        Cause.REFERRAL_FACTORY_REFUSED,
        "Referral Factory refused the request",
        "Referral Factory answered that it will not do this. Its own words are in the detail.",
        "Read the detail, put right what it names in Referral Factory, then replay the event or run the sync again.",
    ),
    CauseText(
        Cause.CONTACT_ARCHIVED,
        "The contact was archived in Intercom",
        "The contact was archived after it was linked. The referral stays open, and goes on if the contact comes "
        "back.",
        "Restore the contact in Intercom if the person is still of interest.",
    ),
    CauseText(
        Cause.CONTACT_DELETED,
        "The contact was deleted in Intercom",
        "The contact no longer exists in Intercom. The referral stays open, but can't qualify by itself any more.",
        "If the person converts all the same, qualify them by hand.",
    ),
    CauseText(
        Cause.CONTACT_MERGED,
        "The contact was merged into another",
        "Intercom merged this contact with another one of the same person. The referral now follows the one that "
        "remains.",
        "Nothing is needed.",
    ),
    # A contact that is not synced
    CauseText(
        Cause.ALREADY_IN_CAMPAIGN,
        "Already in the campaign",
        "Someone with this email is already in the campaign. The contact was linked to them and nobody was added "
        "twice.",
        "Nothing is needed.",
    ),
    CauseText(
        Cause.BLANK_MAPPED_VALUE,
        "A mapped value is blank",
        "The contact has no value in an attribute that the sync maps, so it could not be added. "
        "The detail names the attribute.",
        "Fill in the attribute in Intercom, or take its row out of the sync's mapping, and run the sync again.",
    ),
    CauseText(
        Cause.USER_LIMIT_REACHED,
        "The user limit is reached",
        "Adding more people would exceed the user limit of your Referral Factory plan or of this campaign. "
        "Above it, all referral links of the account would stop working, so nobody more was added.",
        "Upgrade the plan or remove people in Referral Factory, set the new limit here, then run the sync again.",
    ),
    CauseText(
        Cause.SEGMENT_UNKNOWN,
        "The segment is not in our list",
        "The segment was not in the list when we last read it from Intercom. It may be new.",
        "Click “Refresh segments”, then search for it by name. Make sure that the right workspace is chosen.",
    ),
    CauseText(
        Cause.SEGMENT_GONE,
        "The segment no longer exists",
        "The segment of this sync was deleted in Intercom, so its members can't be read. Who was added stays.",
        "Choose another segment in a new sync, and cancel this one.",
    ),
    CauseText(
        Cause.SYNC_IS_ONE_TIME,
        "The sync ran once",
        "The contact came after a sync that runs one time only. Later contacts are added by ongoing syncs.",
        "Start the sync again, or make a new one with the schedule “Ongoing”.",
    ),
    CauseText(
        Cause.CURSOR_REPEATED,
        "The list of contacts began to repeat",
        "While we were reading on, the same page was handed out again. The sync was stopped, "
        "so that it would not go round in circles. Everyone read before that is in.",
        "Resume the sync; nobody is added twice. If it stops here again, write to support with the sync's number.",
    ),
    CauseText(
        Cause.CONTACT_NOT_MATCHED,
        "Not among the sync's contacts",
        "The sync takes leads, users, or the members of one segment, and this contact is none of them at the moment.",
        "Bring the contact into the segment, or make a new sync that takes contacts of this kind too.",
    ),
    CauseText(
        Cause.LINK_NOT_MAPPED,
        "No attribute is chosen for the link",
        "No row writes the referral link to an attribute in Intercom, so no contact shows it.",
        "Add a row from Link to a single-line text attribute, in the referrers' mapping or where a sync writes back.",
    ),
    # The connections
    CauseText(
        Cause.INTERCOM_UNAUTHORIZED,
        "Intercom does not accept the access token",
        "The workspace's token was revoked or is wrong, or the workspace is in another region. Nothing is lost: "
        "everything for this workspace waits.",
        "Open the workspace, paste the current access token from Intercom's Developer Hub, check the region, and "
        "save.",
    ),
    CauseText(
        Cause.INTERCOM_PERMISSION_MISSING,
        "A permission is missing in Intercom",
        "The access token works, but your Intercom app was not given a permission that this needs. "
        "The workspace page names it.",
        "Tick the permission for the app in Intercom's Developer Hub, then click “Test the connection” on the "
        "workspace's page here. What waited goes on by itself.",
    ),
    CauseText(
        Cause.INTERCOM_UNAVAILABLE,
        "Intercom can't be reached",
        "Intercom does not answer or reports a fault of its own. We keep trying, and what waits is not lost.",
        "Nothing is needed for now. If it lasts, look at Intercom's status page. "
        "Events that were given up can be replayed all at once.",
    ),
    CauseText(
        Cause.REFERRAL_FACTORY_UNAUTHORIZED,
        "Referral Factory does not accept the access token",
        "The program's token was revoked or is wrong. Nothing is lost: everything for this program waits.",
        "Create a new token in Referral Factory, open the program here, paste it and save.",
    ),
    CauseText(
        Cause.REFERRAL_FACTORY_UNAVAILABLE,
        "Referral Factory can't be reached",
        "Referral Factory does not answer or reports a fault of its own. We keep trying, and what waits is not lost.",
        "Nothing is needed for now. Events that were given up can be replayed all at once.",
    ),
    CauseText(
        Cause.RATE_LIMITED,
        "Waiting for the vendor's speed limit",
        "Intercom and Referral Factory allow only so many calls a minute. The limit is used up for the moment.",
        "Nothing is needed: it goes on by itself, new sign-ups and conversions first.",
    ),
    CauseText(
        Cause.WORKSPACE_DISCONNECTED,
        "The workspace is disconnected",
        "This campaign's Intercom workspace is not connected, so nothing can be written there. Everything waits.",
        "Connect the workspace again. What waits is then sent, and what was missed is looked up.",
    ),
    CauseText(
        Cause.TEAMMATE_NOT_PERMITTED,
        "You may look, but not change this",
        "Your account does not have the right to manage integrations, so these settings are shown greyed out.",
        "Ask one of the owners named on the page to give you the right to manage integrations.",
    ),
    # What arrives, and what waits
    CauseText(
        Cause.WAITING_IN_QUEUE,
        "Still waiting its turn",
        "It was received safely and is in line. Earlier work on the same person, or a short wait that keeps a "
        "contact "
        "from being made twice, comes first.",
        "Nothing is needed. The event's page shows when it is next worked on.",
    ),
    CauseText(
        Cause.WEBHOOK_NOT_UNDERSTOOD,
        "The webhook's content was not understood",
        "The webhook came from the right sender, but what it says about the person could not be read. "
        "It was kept, nothing is lost.",
        "Compare the webhook's fields in Referral Factory with those on the campaign's webhook page, put them right, "
        "and replay the event.",
    ),
    CauseText(
        Cause.WEBHOOK_MISSED,
        "The webhook never came; found by our own check",
        "No notification reached us about this, so it was found by the regular comparison and made good.",
        "Nothing is needed for this one. If it happens often, check the webhooks in Referral Factory and Intercom.",
    ),
    CauseText(
        Cause.TOPIC_WITHOUT_MEANING,
        "A notification that needs no action",
        "The notification was received and verified, but it is of a kind that changes nothing here, such as a test.",
        "Nothing is needed.",
    ),
    # The installation
    CauseText(
        Cause.CLOCK_DIFFERS,
        "Two clocks tell different times",
        "The clock of this machine and that of the database differ. Work may be done too early or twice as late.",
        "Have both machines set their clocks by the network (NTP), then restart.",
    ),
    CauseText(
        Cause.DISK_NEARLY_FULL,
        "The disk is nearly full",
        "Little space is left where the data is kept. Once it is full, no webhook can be received any more.",
        "Make room on the disk or give it more, or let events be kept for fewer days.",
    ),
    CauseText(
        Cause.NO_WORKER_RUNS,
        "No worker runs",
        "Work that recurs every few seconds has not been done for a while, so nothing that comes in is worked on. "
        "All of it is kept.",
        "Start a worker with “python -m workers”. What waits is then worked on in the order it came.",
    ),
    CauseText(
        Cause.REDIS_UNREACHABLE,
        "Redis does not answer",
        "Workers learn of new work late, and vendors are not asked, for their speed limits are counted there. "
        "Webhooks are taken and kept all the same.",
        "Start Redis, or check that the address in REDIS_URL is right. Work goes on by itself.",
    ),
    # Requests to this API
    CauseText(
        Cause.ALREADY_EXISTS,
        "That is already here",
        "The workspace, program or campaign is already connected, or something of the same name exists.",
        "Open the existing one and change it, instead of adding it a second time.",
    ),
    CauseText(
        Cause.NOT_FOUND,
        "Nothing found there",
        "There is nothing at this address. It may have been removed, or the link may be incomplete.",
        "Go back to the list and open it from there.",
    ),
    CauseText(
        Cause.INVALID_REQUEST,
        "Something in the input can't be right",
        "A field is missing, has a form we can't use, or contradicts another one. Nothing was saved.",
        "Each fault is shown beside its field. Correct them and save again.",
    ),
    CauseText(
        Cause.UNAUTHENTICATED,
        "Please sign in",
        "The request came without a valid sign-in, API token, signature or webhook secret.",
        "Sign in again. For a program or a webhook, check the token or secret that it sends.",
    ),
    CauseText(
        Cause.INTERNAL_ERROR,
        "A fault on our side",
        "Something went wrong in Referloop itself. It was recorded, and what you sent is kept.",
        "Try again, or replay the event. If it happens again, write to support with the event's number.",
    ),
)

CATALOGUE: Mapping[Cause, CauseText] = MappingProxyType({text.id: text for text in _TEXTS})
"""Every cause's text, in the order above."""
