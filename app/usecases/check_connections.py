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
from app.storage import circuits, inbox, programs, reconciles, syncs, workspaces
from app.usecases.services import Services
from app.usecases.setups import Setup, intercom_of
from app.usecases.ways_out import missing_permission

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
            workspaces.lose(
                connection,
                workspace.id,
                workspace.token_digest,
                Cause.INTERCOM_UNAUTHORIZED,
                services.now(),
            )
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
            programs.lose(
                connection,
                program.id,
                program.token_digest,
                Cause.REFERRAL_FACTORY_UNAUTHORIZED,
                services.now(),
            )
        log.warning("program_disconnected", program_id=program.id)
        return False
    return True


def token_works(services: Services, setup: Setup, error: ApiError) -> bool:
    """After a 401 or 403: whether the token itself is still taken. If not, the connection is marked as lost; if so,
    the permission that is missing is named.

    Raises: ApiError where the vendor can't be asked.
    """
    if error.vendor is Vendor.REFERRAL_FACTORY:
        return check_program(services, setup.program)
    works = check_workspace(services, setup.workspace)
    if works:
        with services.database.writing() as connection:
            workspaces.miss_permission(connection, setup.workspace.id, missing_permission(error))
    return works


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
    _give_back(services, held_by, row, regain)
    return 1


def _give_back(services: Services, held_by: str, row: Row[Any], regain: Any) -> None:
    with services.database.writing() as connection:
        if regain(connection, row.id, row.token_digest, services.now()):
            release(connection, held_by, services.now())


def try_workspace(services: Services, workspace: Row[Any]) -> bool:
    """Whether Intercom takes the token at this moment, because a person asks. If it does, a lost workspace is
    connected again, and what waits for a permission is tried again: the person may have mended it just now.

    Raises: ApiError where Intercom can't be asked.
    """
    works = check_workspace(services, workspace)
    if works:
        _go_on(services, f"workspace:{workspace.id}", Vendor.INTERCOM, workspace, workspaces.regain)
    return works


def try_program(services: Services, program: Row[Any]) -> bool:
    """The same for a Referral Factory account."""
    works = check_program(services, program)
    if works:
        _go_on(services, f"program:{program.id}", Vendor.REFERRAL_FACTORY, program, programs.regain)
    return works


def _go_on(services: Services, held_by: str, vendor: Vendor, row: Row[Any], regain: Any) -> None:
    if row.state == workspaces.DISCONNECTED:
        _give_back(services, held_by, row, regain)
        services.bell.ring()
        return
    permission = f"{circuits.vendor_circuit(vendor.value, row.id)}:"
    with services.database.writing() as connection:
        waits = any(name.startswith(permission) for name in circuits.open_names(connection))
        if waits:
            release(connection, held_by, services.now())
    if waits:
        services.bell.ring()


def release(connection: Connection, held_by: str, now: datetime) -> None:
    """Let go of all that waited for ``workspace:<id>`` or ``program:<id>``, its open circuits included: a person has
    mended it, or the vendor takes its token again. What was missed meanwhile is looked for."""
    inbox.release_held(connection, held_by, now)
    kind, _, number = held_by.partition(":")
    vendor = Vendor.INTERCOM if kind == "workspace" else Vendor.REFERRAL_FACTORY
    if vendor is Vendor.INTERCOM:
        for permission in WRITE_PERMISSIONS:  # what can be read was just tried; of these the next write will tell
            workspaces.have_permission(connection, int(number), permission)
    circuits.close_all_of(connection, circuits.vendor_circuit(vendor.value, int(number)), now)
    reconciles.ask(connection, vendor.value, int(number), now)
    syncs.wake(connection, now, **{f"{kind}_id": int(number)})
