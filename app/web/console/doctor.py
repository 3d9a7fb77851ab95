"""Is the whole in order? The same checks as on the terminal, by what they look at, each with what mends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from app.core.diagnosis import Check, Verdict
from app.core.diagnosis.system import Area
from app.usecases.check_everything import check_everything
from app.web.console.access import actor, services
from app.web.console.check_words import Shown, shown
from app.web.console.mending import mend

doctor = Blueprint("doctor", __name__)

AREAS: Mapping[Area, tuple[str, str]] = {
    Area.CONNECTIONS: ("Connections", "Access tokens, permissions, and whether both vendors answer."),
    Area.WEBHOOKS: ("Webhooks", "Whether they come, and what had to be found without them."),
    Area.MAPPINGS: ("Mappings", "Each mapped attribute against the list of attributes as read last."),
    Area.RULES: ("Qualification rules", "Attributes and values of each rule against that list."),
    Area.SEGMENTS: ("Segments", "Those that syncs are made of."),
    Area.BUDGETS: ("Limits", "User limits, and the speed limits of both vendors."),
    Area.QUEUE: ("Queue", "The worker, Redis, and what waits or was given up."),
    Area.CLOCK: ("Clock", "Our time against the database’s."),
    Area.DISK: ("Disk", "Room where the data is kept."),
}
"""As people read them, with what is looked at."""


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    title: str
    looked_at: str
    amiss: Sequence[Shown]
    well: Sequence[Shown]

    @property
    def problems(self) -> int:
        return sum(one.is_problem for one in self.amiss)


@doctor.get("/check")
def page() -> str:
    checks = check_everything(services(), current_app.extensions.get("referloop.redis_answers"))
    problems = sum(one.verdict is Verdict.PROBLEM for one in checks)
    return render_template(
        "console/doctor.html",
        at=services().now(),
        groups=groups_of(checks),
        number=len(checks),
        problems=problems,
        unknowns=sum(one.verdict is Verdict.UNKNOWN for one in checks),
        mending=url_for(".mended"),
    )


def groups_of(checks: Sequence[Check]) -> list[Group]:
    """By area, in the areas' order; one in which nothing could be looked at is left out."""
    found = []
    for area, (title, looked_at) in AREAS.items():
        mine = [shown(one) for one in checks if one.question == area]
        if mine:
            amiss, well = [one for one in mine if not one.is_ok], [one for one in mine if one.is_ok]
            found.append(Group(area.value, title, looked_at, amiss, well))
    return found


@doctor.post("/check")
def mended() -> Response:
    """A button does what it says; then all is looked at again."""
    mend(services(), request.form.to_dict(), actor())
    return redirect(url_for(".page"), 303)
