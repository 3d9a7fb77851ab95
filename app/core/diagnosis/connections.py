"""Can't connect, settings greyed out, a permission error: the rights, the tokens, the region, each permission."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from app.core.causes import Cause
from app.core.diagnosis import checks
from app.core.diagnosis.checks import Action, Check, Evidence, Question, Telling, moment, ok, unknown
from app.core.diagnosis.facts import Asker, Away, Connection, Facts

Q = Question.CANNOT_CONNECT
problem = partial(checks.problem, question=Q)

_UNAVAILABLE = frozenset({Cause.INTERCOM_UNAVAILABLE, Cause.REFERRAL_FACTORY_UNAVAILABLE, Cause.RATE_LIMITED})

PERMISSIONS = {
    "contacts_read": "read contacts",
    "contacts_write": "write contacts",
    "attributes_read": "read attributes",
    "attributes_write": "create attributes",
    "segments_read": "read segments",
}
"""What each allows, by our name of it."""


def checks_of(facts: Facts) -> Iterator[Check]:
    if facts.asker is not None:
        yield _rights(facts.asker)
    yield from of_workspace(facts.workspace)
    yield from of_program(facts.program)


def of_workspace(workspace: Connection) -> Iterator[Check]:
    yield _intercom_token(workspace)
    yield _region(workspace)
    yield from _permissions(workspace)
    yield _answers(workspace, "intercom_answers", "Intercom", Cause.INTERCOM_UNAVAILABLE)


def of_program(program: Connection) -> Iterator[Check]:
    yield _referral_factory_token(program)
    yield _answers(program, "referral_factory_answers", "Referral Factory", Cause.REFERRAL_FACTORY_UNAVAILABLE)


def _rights(asker: Asker) -> Check:
    evidence: Evidence = {"teammate": asker.name, "may_manage_integrations": asker.may_manage}
    if asker.may_manage:
        return ok("teammate_rights", Q, "You may manage integrations.", evidence)
    return problem(
        "teammate_rights",
        cause=Cause.TEAMMATE_NOT_PERMITTED,
        telling=Telling.NOTE,
        evidence={**evidence, "owners": asker.owners},
    )


def _intercom_token(workspace: Connection) -> Check:
    """Lost, or refused at this moment."""
    evidence = _connection(workspace)
    refused = workspace.token is not None and workspace.token.cause is Cause.INTERCOM_UNAUTHORIZED
    if workspace.connected and not refused:
        said = f"The workspace {workspace.name} is connected."
        return ok("intercom_token", Q, said, evidence)
    cause = (workspace.cause or Cause.WORKSPACE_DISCONNECTED) if not workspace.connected else None
    return problem(
        "intercom_token",
        cause=cause or Cause.INTERCOM_UNAUTHORIZED,
        telling=Telling.CONNECTION,
        evidence=evidence,
        action=_reconnect(workspace),
    )


def _reconnect(workspace: Connection) -> Action:
    return Action("reconnect_workspace", {"workspace_id": str(workspace.id)})


def _connection(connection: Connection) -> dict[str, checks.Plain]:
    evidence: dict[str, checks.Plain] = {
        "id": str(connection.id),
        "name": connection.name,
        "state": "connected" if connection.connected else "disconnected",
    }
    if connection.token is not None:
        evidence["asked_at"] = moment(connection.token.at)
        evidence["answered"] = connection.token.said or ("accepted" if connection.token.cause is None else "refused")
    return evidence


def _region(workspace: Connection) -> Check:
    evidence: Evidence = {"region": workspace.region, "answering_region": workspace.other_region}
    if workspace.other_region is not None:
        return problem(
            "intercom_region",
            cause=Cause.INTERCOM_UNAUTHORIZED,
            telling=Telling.CONNECTION,
            said=f"The token is refused in the region “{workspace.region}” and taken in “{workspace.other_region}”.",
            evidence=evidence,
            action=_reconnect(workspace),
        )
    return ok("intercom_region", Q, "The region is not what stands in the way.", evidence)


def _permissions(workspace: Connection) -> Iterator[Check]:
    away = {one.permission: one.cause for one in workspace.away if one.permission is not None}
    missing = dict.fromkeys([*workspace.missing, *away])
    for name in missing:
        yield problem(
            f"intercom_permission.{name}",
            cause=away.get(name, Cause.INTERCOM_PERMISSION_MISSING),
            telling=Telling.CONNECTION if name.startswith("contacts") else Telling.FIELD,
            said=f"The permission to {PERMISSIONS.get(name, name)} is missing.",
            evidence={"permission": name, "workspace_id": str(workspace.id), "holds_work": name in away},
            action=_reconnect(workspace),
        )
    if not missing:
        yield ok(
            "intercom_permissions",
            Q,
            "No permission is known to be missing.",
            {"permissions": tuple(PERMISSIONS), "refreshed_at": moment(workspace.refreshed_at)},
        )


def _answers(connection: Connection, id_: str, name: str, usual: Cause) -> Check:
    """Whether the vendor can be reached: by its circuit, and by what it said a moment ago."""
    shut: Away | None = next((one for one in connection.away if one.permission is None), None)
    live = connection.token
    failed = live.cause if live is not None and live.cause in _UNAVAILABLE else None
    cause = shut.cause if shut is not None else failed
    if cause is not None:
        return problem(
            id_,
            cause=cause if cause in _UNAVAILABLE else usual,
            telling=Telling.WAITS if cause is Cause.RATE_LIMITED else Telling.CONNECTION,
            evidence={**_connection(connection), "holds_work": shut is not None},
        )
    if live is not None and live.cause is None:
        return ok(id_, Q, f"{name} answers.", {"asked_at": moment(live.at)})
    if not connection.connected:
        return unknown(id_, Q, f"{name} is not asked without an access token.", "Connect it again; then it is asked.")
    return ok(id_, Q, f"Nothing waits for {name}.", {"holds_work": False})


def _referral_factory_token(program: Connection) -> Check:
    evidence = _connection(program)
    live = program.token is not None and program.token.cause is Cause.REFERRAL_FACTORY_UNAUTHORIZED
    refused = live or any(one.permission is not None for one in program.away)
    if program.connected and not refused:
        return ok("referral_factory_token", Q, f"The program {program.name} is connected.", evidence)
    return problem(
        "referral_factory_token",
        cause=(program.cause if not program.connected else None) or Cause.REFERRAL_FACTORY_UNAUTHORIZED,
        telling=Telling.CONNECTION,
        evidence=evidence,
        action=Action("reconnect_program", {"program_id": str(program.id)}),
    )
