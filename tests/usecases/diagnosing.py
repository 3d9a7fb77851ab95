"""Diagnoses as use-case tests see them: what was found, in order, and what it was found by."""

from __future__ import annotations

from typing import Any

from app.core.diagnosis import Check, Question, Verdict
from app.usecases.diagnose import diagnose
from tests.product import Product

Q = Question
FRIEND = "friend@example.com"


def ask(product: Product, question: Question | None = None, email: str | None = FRIEND, **more: Any) -> list[Check]:
    """The checks, as the console and the API are given them."""
    return list(diagnose(product.services, product.campaign_id, email=email, question=question, **more))


def problems(checks: list[Check]) -> list[tuple[str, str]]:
    """Question and cause of each problem, in the order told."""
    return [(str(one.question), str(one.cause)) for one in checks if one.verdict is Verdict.PROBLEM]


def causes(checks: list[Check]) -> list[str]:
    return [cause for _, cause in problems(checks)]


def first(checks: list[Check]) -> Check:
    assert checks
    return checks[0]


def is_healthy(checks: list[Check]) -> bool:
    """Nothing is amiss, and something was looked at."""
    return bool(checks) and all(one.verdict is Verdict.OK for one in checks)


def amiss(checks: list[Check]) -> list[tuple[str, str, str | None]]:
    return [(one.id, one.verdict.value, one.cause) for one in checks if one.verdict is not Verdict.OK]
