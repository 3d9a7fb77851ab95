"""The vendors as one piece of work reaches them: not while a circuit is open, unless it is its turn to find out if
they are back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from app.core.causes import Cause
from app.core.errors import ApiError, RateLimited, Shut, Unauthorized, Unavailable, Vendor
from app.integrations.budget import Pace
from app.integrations.intercom import Intercom
from app.integrations.referral_factory import ReferralFactory
from app.storage import circuits
from app.storage.circuits import Broken, permission_circuit, vendor_circuit
from app.usecases.services import Services
from app.usecases.setups import Setup

VENDOR_PROBE = timedelta(seconds=10)
PERMISSION_PROBE = timedelta(minutes=5)

CONTACTS_READ, CONTACTS_WRITE = "contacts_read", "contacts_write"
ACCESS = "access"

_PERMISSIONS = {
    "search_email": CONTACTS_READ,
    "search": CONTACTS_READ,
    "contact": CONTACTS_READ,
    "create": CONTACTS_WRITE,
    "update": CONTACTS_WRITE,
    "unarchive": CONTACTS_WRITE,
    "attributes": "attributes_read",
    "create_attribute": "attributes_write",
    "segments": "segments_read",
}
"""The permission of a workspace that each call needs, by the names that are shown."""


class WaysOut:
    """For one event, or one page of a run. ``probing`` are the open circuits that it was let through."""

    def __init__(self, services: Services, setup: Setup, pace: Pace = Pace.LIVE) -> None:
        self._services = services
        self._setup = setup
        self._pace = pace
        self.probing: set[str] = set()

    def intercom(self) -> Intercom:
        """Raises: Shut where the workspace can't be read now."""
        self._pass(Vendor.INTERCOM, [self._name(Vendor.INTERCOM), self._name(Vendor.INTERCOM, CONTACTS_READ)])
        return self._setup.intercom(self._services, self._pace)

    def before_writing(self) -> None:
        """Raises: Shut where contacts can't be written now."""
        self._pass(Vendor.INTERCOM, [self._name(Vendor.INTERCOM, CONTACTS_WRITE)])

    def referral_factory(self) -> ReferralFactory:
        """Raises: Shut where the program can't be asked now."""
        vendor = Vendor.REFERRAL_FACTORY
        self._pass(vendor, [self._name(vendor), self._name(vendor, ACCESS)])
        return self._setup.referral_factory(self._services, self._pace)

    def _pass(self, vendor: Vendor, names: Iterable[str]) -> None:
        for name in names:
            cause = self._setup.open_circuits.get(name)
            if cause is None or name in self.probing:
                continue
            with self._services.database.writing() as connection:
                if not circuits.take_turn(connection, name, self._services.now()):
                    raise Shut(vendor, f"{vendor.label} is not asked at the moment.", circuit=name, cause=cause)
            self.probing.add(name)

    def _name(self, vendor: Vendor, permission: str | None = None) -> str:
        connection_id = self._setup.workspace.id if vendor is Vendor.INTERCOM else self._setup.program.id
        if permission is None:
            return vendor_circuit(vendor.value, connection_id)
        return permission_circuit(vendor.value, connection_id, permission)

    # What a failure, or its absence, says of the circuits

    def vendor_away(self, vendor: Vendor, cause: Cause) -> Broken:
        return Broken(self._name(vendor), cause.value, VENDOR_PROBE)

    def permission_missing(self, error: ApiError, cause: Cause) -> Broken:
        return Broken(self._name(error.vendor, missing_permission(error)), cause.value, PERMISSION_PROBE)

    def proven(self, error: Exception | None) -> frozenset[str]:
        """The circuits that may be closed: those that were probed, and did not stand in the way again."""
        if isinstance(error, Shut):
            return frozenset(self.probing - {error.circuit})
        if isinstance(error, Unavailable) and error.down:
            return frozenset(name for name in self.probing if not name.startswith(self._name(error.vendor)))
        if isinstance(error, Unauthorized):
            return frozenset(self.probing - {self._name(error.vendor, missing_permission(error))})
        if isinstance(error, RateLimited):
            return frozenset()  # our own budget kept it from asking, or the vendor would not hear it
        if isinstance(error, ApiError):
            # The vendor answers, whatever it says; of a permission this proves nothing.
            return frozenset(self.probing & {self._name(error.vendor)})
        return frozenset(self.probing)


def missing_permission(error: ApiError) -> str:
    """The permission that a refused call needs."""
    return _PERMISSIONS.get(error.operation or "", ACCESS)
