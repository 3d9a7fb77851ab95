"""The web is not loaded by the worker: its memory is counted, and four processes share what is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LOOK = """
import sys
import workers.main, workers.children, workers.drain, workers.schedule, workers.jobs, workers.process
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded & {"flask", "werkzeug", "jinja2", "wtforms", "apispec"}))
print(*sorted(name for name in sys.modules if name.startswith("app.web")))
"""


def test_nothing_of_the_web_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
