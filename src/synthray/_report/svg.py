"""Figures inside a page: SVG whose text is text and whose colours follow the page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from synthray._report.style import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def inline_svg(figure: Figure, name: str, description: str) -> Any:
    """Return a figure as an `svg` element, marked as safe for a template.

    The same figure gives the same text. Ids begin with `name`, so figures of one page cannot
    refer to each other's. Colours of `PALETTE` become variables of the page's style sheet.

    Args:
        figure: The figure; its backgrounds are made transparent.
        name: Name of the figure, different for each on a page.
        description: What a screen reader says.
    """
    from markupsafe import Markup, escape
    from matplotlib import rc_context

    figure.patch.set_visible(False)
    for axis in figure.axes:
        axis.patch.set_visible(False)
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    head, body = text.split(">", 1)
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    width, height = view.groups() if view else ("400", "300")
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body)
    body = re.sub(r'\b(?:d|points|x|y)="[^"]*"', _rounded, body)
    for part, colour in PALETTE.items():
        body = body.replace(colour, f"var(--fig-{part})")
    body = re.sub(r"(fill|stroke): #000000", r"\1: currentColor", body)
    body = re.sub(r"\n\s*", "\n", body)
    # 72 points of matplotlib are an inch, as are 96 pixels of a page.
    size = f'width="{float(width) * 4 / 3:.0f}" height="{float(height) * 4 / 3:.0f}"'
    # Safe: matplotlib escapes what it writes as text.
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" {size} role="img" '
        f'aria-label="{escape(description)}">{body.strip()}'
    )


def _rounded(match: re.Match[str]) -> str:
    """Return coordinates to a hundredth of a point: curves make up most of a page."""
    return re.sub(r"-?\d+\.\d{3,}", lambda n: f"{float(n[0]):.2f}", match[0])
