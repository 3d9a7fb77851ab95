"""An audience's settings as somebody writes them: the sound rest is read, whatever is at fault."""

from __future__ import annotations

import pytest

from app.core.audiences import QualificationRule
from schemas.audiences import read_audience

RULE = {"attribute": "custom_attributes.plan", "target_values": ["pro"]}


@pytest.mark.parametrize("fault", [{"action": 7}, {"duplicates": "often"}, {"mapping": [{}]}, {"colour": "red"}, {}])
def test_a_rule_without_initial_value_is_read_beside_a_fault(fault: dict[str, object]) -> None:
    reading = read_audience({**({} if fault == {} else {"action": "create_lead"}), "qualification": RULE, **fault})
    assert reading.settings.qualification == QualificationRule("custom_attributes.plan", None, ("pro",))
    assert len(reading.errors) >= 1
