"""The search index: contacts as they were some time ago."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Any

Contact = dict[str, Any]


class SearchIndex:
    """What search sees. Changes come in late, by `put_later`, when `catch_up` is told the time."""

    def __init__(self) -> None:
        self.contacts: dict[str, Contact] = {}
        self.version = 0
        self.answers: OrderedDict[Any, tuple[float, int, list[tuple[Any, str]]]] = OrderedDict()
        self._waiting: list[tuple[float, int, Contact]] = []
        self._turn = 0
        self._by: dict[str, dict[str, set[str]]] = {"email": {}, "external_id": {}}
        self._removed_at: dict[str, int] = {}

    def put_later(self, contact: Contact, due: float, now: float) -> None:
        """Show this state of a contact from `due` on."""
        self._turn += 1
        heapq.heappush(self._waiting, (due, self._turn, contact))
        self.catch_up(now)

    def catch_up(self, now: float) -> None:
        """Take in everything that is due."""
        while self._waiting and self._waiting[0][0] <= now:
            _, turn, contact = heapq.heappop(self._waiting)
            if turn > self._removed_at.get(contact["id"], 0):
                self.put(contact)

    def put(self, contact: Contact) -> None:
        """Show this state of a contact now."""
        self._drop(contact["id"])
        self.contacts[contact["id"]] = contact
        for name, values in self._by.items():
            if contact[name]:
                values.setdefault(contact[name], set()).add(contact["id"])
        self.version += 1

    def remove(self, contact_id: str) -> None:
        """Stop showing a contact, and forget what was on its way."""
        self._drop(contact_id)
        self._removed_at[contact_id] = self._turn
        self.version += 1

    def having(self, name: str, value: str) -> set[str]:
        """Ids of the contacts with this email, external_id or id."""
        if name == "id":
            return {value} if value in self.contacts else set()
        return self._by[name].get(value, set())

    def _drop(self, contact_id: str) -> None:
        before = self.contacts.pop(contact_id, None)
        if before is None:
            return
        for name, values in self._by.items():
            ids = values.get(before[name])
            if ids is not None:
                ids.discard(contact_id)
                if not ids:
                    del values[before[name]]
