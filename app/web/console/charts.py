"""Bar charts as SVG of their own: drawn here, shown by ``<img>``, without a script, a link or anybody's name."""

from __future__ import annotations

import hashlib
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pygal
from flask import Response
from pygal.style import Style

# For plugins the library adds a finder of the old kind behind all others, and Python warns of it whenever an import
# finds nothing. There are no plugins here.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

THEMES = ("auto", "light", "dark")

_LIGHT = {"text": "#495057", "line": "#ced4da"}
_DARK = {"text": "#ced4da", "line": "#495057"}

WIDTH, HEIGHT = 480, 200
"""Small enough to be read on a phone, where it is drawn smaller still."""

FONT = 14

# Each stands out from a light and a dark page alike.
COLOURS: Mapping[str, str] = {
    "intercom": "#0d6efd",
    "referral_factory": "#d97706",
    "created": "#198754",
    "added": "#20a383",
    "updated": "#0d6efd",
    "qualified": "#8257d8",
    "skipped": "#d97706",
    "failed": "#dc3545",
    "disqualified": "#d63384",
    "ignored": "#7b848c",
}
OTHER = "#7b848c"

_SVG = "{http://www.w3.org/2000/svg}"
_DROPPED = ("script", "desc", "title")


@dataclass(frozen=True, slots=True)
class Bars:
    """``counts`` by the colour's name, in the order they are stacked; each as long as ``labels``."""

    labels: Sequence[str]
    counts: Mapping[str, Sequence[int]]
    words: Mapping[str, str]


def svg_response(bars: Bars, theme: str) -> Response:
    """The chart, with a policy that allows its own style and nothing else."""
    drawn, style = _drawn(bars, theme)
    response = Response(drawn, content_type="image/svg+xml")
    allowed = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    response.headers["Content-Security-Policy"] = f"default-src 'none'; style-src 'sha256-{allowed}'"
    response.headers["Cache-Control"] = "private, max-age=30"
    return response


def _drawn(bars: Bars, theme: str) -> tuple[bytes, str]:
    """The document, and the text of its one style element."""
    root = _chart(bars, theme).render_tree()
    for parent in list(root.iter()):
        for child in [one for one in parent if _is_dropped(one)]:
            parent.remove(child)
    style = next(one.text or "" for one in root.iter() if _name(one) == "style")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True), style


def _is_dropped(node: Any) -> bool:
    """What works with a script only, and comments, whose tag is a function."""
    return not isinstance(node.tag, str) or _name(node) in _DROPPED or node.get("class") == "tooltip"


def _name(node: Any) -> str:
    return node.tag.removeprefix(_SVG) if isinstance(node.tag, str) else ""


def _chart(bars: Bars, theme: str) -> Any:
    ticks = _ticks(max(map(sum, zip(*bars.counts.values(), strict=True)), default=0))
    chart = pygal.StackedBar(
        js=(),
        css=("file://graph.css", f"inline:{_css(list(bars.counts), theme)}"),
        style=Style(font_family="system-ui, sans-serif", label_font_size=FONT, major_label_font_size=FONT),
        width=WIDTH,
        height=HEIGHT,
        show_legend=False,  # the page has it, in words
        truncate_label=-1,
        x_labels_major_every=max(1, len(bars.labels) // 5),
        show_minor_x_labels=False,
        value_formatter=lambda value: f"{value:,.0f}",
        range=(0, ticks[-1]),
        margin=6,
        no_data_text="Nothing yet",
        pretty_print=False,
    )
    chart.uuid = "overview"
    chart.x_labels, chart.y_labels = list(bars.labels), ticks if bars.counts else None
    for name, counts in bars.counts.items():
        chart.add(bars.words.get(name, name), list(counts))
    return chart


def _ticks(most: int) -> list[int]:
    """Whole numbers from zero to above ``most``, evenly, and not too many to read."""
    sizes = (times * 10**power for power in range(20) for times in (1, 2, 5))
    step = next(size for size in sizes if most <= size * 4)
    return list(range(0, max(1, -(-most // step)) * step + 1, step))


def _css(names: Sequence[str], theme: str) -> str:
    bars = "".join(f".color-{place}{{fill:{COLOURS.get(name, OTHER)}}}" for place, name in enumerate(names))
    shades = {"light": _shades(_LIGHT), "dark": _shades(_DARK)}
    follows = f"{shades['light']}@media (prefers-color-scheme:dark){{{shades['dark']}}}"
    return f".background{{fill:none}}text.no_data{{font-size:18px}}{bars}{shades.get(theme, follows)}"


def _shades(colours: Mapping[str, str]) -> str:
    text, line = colours["text"], colours["line"]
    guides = ",".join(f"#chart-overview .axis {kind}.guide.line" for kind in ("", ".major"))
    return f"text{{fill:{text}}}{guides},.axis .line{{stroke:{line}}}"
