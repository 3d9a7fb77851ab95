"""Calls that tell what is amiss: of a campaign or a person, and of the whole installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import current_app

from app.core.diagnosis import Asker, Check, Question
from app.usecases.check_everything import check_everything
from app.usecases.diagnose import diagnose
from app.web.api.operations import actor, call, group, services
from schemas.api_diagnosis import DiagnosisAnswer, DiagnosisQuery

calls = group("diagnosis", "Why something did not happen, for this person and this campaign, with evidence.")


@call(calls, "GET", "/diagnosis", query=DiagnosisQuery, answers=DiagnosisAnswer)
def diagnose_a_campaign(query: dict[str, Any]) -> Any:
    """Tell what is amiss with a campaign, or with a person of it

    The most telling problem first. Vendors are asked a few things; nothing is written.
    """
    question = Question(query["question"]) if "question" in query else None
    checks = diagnose(
        services(),
        query["campaign_id"],
        email=query.get("email"),
        question=question,
        attribute=query.get("attribute"),
        segment=query.get("segment_id"),
        asker=Asker(actor(), may_manage=True),
    )
    return _shown(checks)


@call(calls, "GET", "/diagnosis/system", answers=DiagnosisAnswer)
def diagnose_the_system() -> Any:
    """Tell what is amiss with the installation and its connections"""
    return _shown(check_everything(services(), current_app.extensions.get("referloop.redis_answers")))


def _shown(checks: Sequence[Check]) -> dict[str, Any]:
    return {"asked_at": services().now(), "checks": [_check(one) for one in checks]}


def _check(check: Check) -> dict[str, Any]:
    action = {"name": check.action.name, "target": dict(check.action.target)} if check.action is not None else None
    return {
        "id": check.id,
        "question": str(check.question),
        "verdict": check.verdict,
        "cause": check.cause,
        "explanation": check.explanation,
        "remedy": check.remedy,
        "evidence": dict(check.evidence),
        "action": action,
    }
