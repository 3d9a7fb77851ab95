"""Tokens and secrets at rest: Fernet, the newest key seals, any key opens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Vault:
    """Seals and opens text. Keys are newest first; rotation is by prepending one.

    ``open`` remembers lately opened texts, for a webhook's secret is asked for with every webhook.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._newest = Fernet(keys[0])
        self.open = lru_cache(maxsize=1024)(self._open)

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def reseal(self, sealed: str) -> str | None:
        """The same sealed by the newest key; ``None`` where it is.

        Raises: cryptography.fernet.InvalidToken where no key of ours sealed it.
        """
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return self._fernet.rotate(sealed.encode()).decode()
        return None

    def _open(self, sealed: str) -> str:
        """Raises: cryptography.fernet.InvalidToken where no key of ours sealed it."""
        return self._fernet.decrypt(sealed.encode()).decode()


def digest(secret: str) -> str:
    """A one-way mark of a random token, by which the same one is known again (SHA-256, hex)."""
    return hashlib.sha256(secret.encode()).hexdigest()
