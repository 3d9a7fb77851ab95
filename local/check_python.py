"""Say plainly what is wrong with a Python before it is used. Runs on any Python since 2.7, by itself.

The Makefile calls it with the name that the Python was called by.
"""

import os
import sys

NEEDED = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")


def complaint(version, name, has_venv=True, path=""):
    """What to do about a Python of this version, or None if it will do."""
    if tuple(version[:2]) < NEEDED:
        found = [newer for newer in NEWER if on_path(newer, path)]
        return (
            "Referloop needs Python 3.11 or later; this is "
            + ".".join(str(part) for part in version[:3])
            + " ("
            + name
            + "). Set PYTHON="
            + (found[0] if found else "python3.11, or whatever a newer one is called here")
            + ", as in: make run PYTHON="
            + (found[0] if found else "python3.11")
        )
    if not has_venv:
        return (
            "This Python ("
            + name
            + ") can't make virtual environments. On Debian and Ubuntu: apt install python3-venv"
            + " (or python"
            + ".".join(str(part) for part in version[:2])
            + "-venv). Then try again."
        )
    return None


def on_path(name, path):
    """Whether a program of this name can be started."""
    return any(os.access(os.path.join(place, name), os.X_OK) for place in path.split(os.pathsep))  # noqa: PTH118


def can_make_environments():
    """Debian leaves these two out of its python3 package."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(
        complaint(
            sys.version_info,
            sys.argv[1] if len(sys.argv) > 1 else sys.executable,
            can_make_environments(),
            os.environ.get("PATH", ""),
        )
    )
