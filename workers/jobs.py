"""What RQ calls. A job is a doorbell; the work is in the database."""

from __future__ import annotations

from workers.process import current


def drain() -> int:
    """Work on what is due; how many events were settled."""
    return current().drain()


def pages() -> int:
    """Do the pages that are due of runs over many people; how many were kept."""
    return current().pages()
