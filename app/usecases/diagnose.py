"""Why? What is amiss with a campaign, a person, an attribute, a segment or a sync, told with its evidence."""

from __future__ import annotations

from app.core.diagnosis import Asker, Check, Question
from app.core.diagnosis import diagnose as answer
from app.usecases.gather_facts import asked_for, gather_facts
from app.usecases.services import Services


def diagnose(
    services: Services,
    campaign_id: int,
    *,
    email: str | None = None,
    question: Question | None = None,
    attribute: str | None = None,
    segment: str | None = None,
    asker: Asker | None = None,
) -> tuple[Check, ...]:
    """The checks of a campaign, or of one person of it, the most telling problem first. Without a ``question`` all
    that apply. ``attribute`` is a path, a name or a label; ``segment`` an id or a name. Nothing is written; a vendor
    that can't be asked makes checks ``unknown``.

    Raises: InvalidRequest 404 for an unknown campaign.
    """
    asked = asked_for(question=question, email=email, attribute=attribute, segment=segment)
    return answer(gather_facts(services, campaign_id, asked, asker))
