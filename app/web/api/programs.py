"""Calls about Referral Factory accounts."""

from __future__ import annotations

from typing import Any

from app.storage import programs
from app.usecases.connect_program import (
    NewProgram,
    campaigns_of,
    change_program,
    connect_program,
    disconnect_program,
    known_program,
)
from app.web.api import shown
from app.web.api.operations import actor, call, group, services
from app.web.api.paging import id_in, page_of, page_within
from schemas.api_fields import PageQuery
from schemas.api_setup import FoundCampaignPage, ProgramAnswer, ProgramBody, ProgramChanges, ProgramPage

calls = group("programs", "Connected Referral Factory accounts.")


def _program(program_id: int) -> Any:
    return shown.columns(known_program(services(), program_id))


@call(calls, "POST", "/programs", body=ProgramBody, answers=ProgramAnswer, status=201)
def connect_a_program(body: dict[str, Any]) -> Any:
    """Connect an account, or connect it again

    The token is tried first. `user_limit` is that of the account's plan.
    """
    return _program(connect_program(services(), NewProgram(**body), actor()))


@call(calls, "GET", "/programs", query=PageQuery, answers=ProgramPage)
def list_programs(query: dict[str, Any]) -> Any:
    """List programs"""
    with services().database.reading() as connection:
        rows = programs.page(connection, after=id_in(query.get("cursor")), limit=query["limit"] + 1)
    return page_of(rows, query["limit"], shown.columns)


@call(calls, "GET", "/programs/<id:program_id>", answers=ProgramAnswer)
def show_program(program_id: int) -> Any:
    """Show a program"""
    return _program(program_id)


@call(calls, "PATCH", "/programs/<id:program_id>", body=ProgramChanges, answers=ProgramAnswer)
def update_program(changes: dict[str, Any], program_id: int) -> Any:
    """Change a program

    A new token is tried first. One that works connects a disconnected program again.
    """
    change_program(services(), program_id, changes, actor())
    return _program(program_id)


@call(calls, "DELETE", "/programs/<id:program_id>", status=204)
def disconnect_a_program(program_id: int) -> None:
    """Disconnect a program; its campaigns and their settings stay"""
    disconnect_program(services(), program_id, actor())


@call(calls, "GET", "/programs/<id:program_id>/campaigns", query=PageQuery, answers=FoundCampaignPage)
def list_campaigns_of_program(query: dict[str, Any], program_id: int) -> Any:
    """List the campaigns as Referral Factory has them now"""
    found = campaigns_of(services(), program_id)
    return page_within(found, query, shown.found_campaign, lambda one: (one.name, one.referral_factory_id), parts=2)
