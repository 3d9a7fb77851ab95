"""Whether a vendor still takes our token: asked after a refusal, and again and again while it does not.

A connection that is lost holds its work as a whole; once the vendor takes the token again, the work goes on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from app.core.causes import Cause
from app.core.errors import ApiError, Unauthorized, Vendor
from app.storage import circuits, inbox, programs, workspaces
from app.usecases.services import Services
from app.usecases.setups import intercom_of

WRITE_PERMISSIONS = ("contacts_write", "attributes_write")

CANARIES = 3
"""How many events are let go at a probe: one of them finds out, the others are there should its turn be lost."""

log = structlog.get_logger(__name__)


def check_workspace(services: Services, workspace: Row[Any]) -> bool:
    """Whether Intercom takes the workspace's token; a refused one marks the workspace as disconnected.

    Raises: ApiError where Intercom can't be asked.
    """
    try:
        intercom_of(services, workspace).me()
    except Unauthorized:
        with services.database.writing() as connection:
            workspaces.lose(connection, workspace.id, workspace.token_digest, Cause.INTERCOM_UNAUTHORIZED)
        log.warning("workspace_disconnected", workspace_id=workspace.id)
        return False
    return True


def check_program(services: Services, program: Row[Any]) -> bool:
    """The same for a Referral Factory account; listing its campaigns is the cheapest proof there is."""
    try:
        services.vendors.referral_factory(
            token=services.vault.open(program.token), budget_key=str(program.id)
        ).campaigns()
    except Unauthorized:
        with services.database.writing() as connection:
            programs.lose(connection, program.id, program.token_digest, Cause.REFERRAL_FACTORY_UNAUTHORIZED)
        log.warning("program_disconnected", program_id=program.id)
        return False
    return True


def probe_connections(services: Services) -> int:
    """Ask again for the connections that were lost; how many are back."""
    with services.database.reading() as connection:
        lost_workspaces = workspaces.lost(connection)
        lost_programs = programs.lost(connection)
    back = 0
    for workspace in lost_workspaces:
        back += _probe(services, f"workspace:{workspace.id}", workspace, check_workspace, workspaces.regain)
    for program in lost_programs:
        back += _probe(services, f"program:{program.id}", program, check_program, programs.regain)
    if back:
        services.bell.ring()
    return back


def probe_circuits(services: Services) -> int:
    """Let a few events go whose circuit is due for a probe; how many. A circuit that holds nobody is closed."""
    now = services.now()
    with services.database.reading() as connection:
        names = circuits.due(connection, now)
    released = 0
    for name in names:
        with services.database.writing() as connection:
            few = inbox.release_few(connection, name, CANARIES, now)
            if not few:
                circuits.close(connection, [name], now)
        released += few
    if released:
        services.bell.ring()
    return released


def _probe(services: Services, held_by: str, row: Row[Any], check: Any, regain: Any) -> int:
    try:
        if not check(services, row):
            return 0
    except ApiError:
        return 0  # the vendor is away; this says nothing about the token
    with services.database.writing() as connection:
        if regain(connection, row.id, row.token_digest):
            release(connection, held_by, services.now())
    return 1


def release(connection: Connection, held_by: str, now: datetime) -> None:
    """Let go of all that waited for ``workspace:<id>`` or ``program:<id>``, its open circuits included: a person has
    mended it, or the vendor takes its token again."""
    inbox.release_held(connection, held_by, now)
    kind, _, number = held_by.partition(":")
    vendor = Vendor.INTERCOM if kind == "workspace" else Vendor.REFERRAL_FACTORY
    if vendor is Vendor.INTERCOM:
        for permission in WRITE_PERMISSIONS:  # what can be read was just tried; of these the next write will tell
            workspaces.have_permission(connection, int(number), permission)
    circuits.close_all_of(connection, circuits.vendor_circuit(vendor.value, int(number)), now)
