"""Pages: HTML from templates and figures, that needs no network, no script and no other file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from synthray._progress import duration
from synthray.reports import AuditReport, Comparison, SampleReport, plots, words
from synthray.reports.figures import PALETTE, png_pairs, png_rows
from synthray.statistics import metrics
from synthray.statistics.verdicts import Statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAIRS = 3_000_000  # bytes of pixels, for the pairs of an audit: a page of 2 to 4 MB
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def comparison_page(
    result: Comparison, statistics: Statistics, samples: Mapping[str, SampleReport]
) -> str:
    """Return the page of a comparison.

    Args:
        result: The comparison.
        statistics: Its verdicts on one metric, against one baseline.
        samples: Reports on synthetic images, by name, such as that of a class.
    """
    forest = histories = None
    if statistics.differences:
        figure = plots.forest(statistics)
        text = f"Differences from {statistics.baseline}. {statistics.describe()}"
        forest = _inline_svg(figure, "forest", text)
    if any(run.history for run in result.runs):
        figure = plots.history_curves(result)
        histories = _inline_svg(figure, "histories", "Training curves of each arm")
    figure = plots.calibration(result)
    pictures = result.pictures
    content: dict[str, Any] = {
        "result": result,
        "statistics": statistics,
        "cautions": words.cautions(result) + words.copies(samples),
        "forest": forest,
        "histories": histories,
        "calibration": _inline_svg(figure, "calibration", "Calibration of each arm"),
        "pictures": {} if pictures is None else _rows(pictures),
        "pairs": [] if pictures is None else png_pairs(pictures.leaked),
        "samples": [
            _section(report, name, place) for place, (name, report) in enumerate(samples.items())
        ],
    }
    return _render("comparison_page.html.j2", content)


def samples_page(report: SampleReport, title: str) -> str:
    """Return the page of a report on synthetic images."""
    return _render("samples_page.html.j2", {"part": _section(report, title, 0)})


def audit_page(report: AuditReport) -> str:
    """Return the page of an audit."""
    pictures = png_rows(
        {str(place): pair.pictures for place, pair in enumerate(report.pairs)}, budget=_PAIRS
    )
    shown = [
        {"kind": pair.kind, "size": pair.size, "sides": list(zip(pair.places, uris, strict=True))}
        for pair, uris in zip(report.pairs, pictures.values(), strict=True)
    ]
    return _render("audit_page.html.j2", {"report": report, "pairs": shown})


def _render(name: str, content: dict[str, Any]) -> str:
    """Return a page from a template of this package; a name that `content` lacks is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda name: (files("synthray.reports") / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known = {"words": words, "metrics": metrics, "palette": PALETTE, "duration": duration}
    environment.globals |= known
    return environment.get_template(name).render(content)


def _inline_svg(figure: Figure, name: str, description: str) -> Any:
    """Return a figure as an `svg` element, marked as safe for a template.

    The same figure gives the same text. Text stays text, and backgrounds are transparent.

    Args:
        figure: The figure.
        name: Name of the figure, different for each on a page: ids begin with it.
        description: What a screen reader says.
    """
    from markupsafe import Markup, escape
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA, transparent=True)
    _, start, text = buffer.getvalue().partition("<svg")
    for reference in (' id="', "url(#", 'href="#'):
        text = text.replace(reference, f"{reference}{name}-")
    # Safe: matplotlib escapes what it writes as text.
    return Markup(f'{start} role="img" aria-label="{escape(description)}"{text}')


def _section(report: SampleReport, title: str, place: int) -> dict[str, Any]:
    """Return what the template knows of the section of a report, with its number on the page."""
    figure = plots.sample_scores(report)
    return {
        "title": title,
        "report": report,
        "figure": _inline_svg(figure, f"samples-{place}", f"Scores of {title}"),
        "pairs": png_pairs(report.pairs),
        "pictures": png_rows(report.pictures),
    }


def _rows(pictures: Any) -> dict[str, dict[str, list[str]]]:
    """Return pictures by class and kind."""
    kinds = {"real": pictures.real, "synthetic": pictures.synthetic}
    names = dict.fromkeys([*pictures.real, *pictures.synthetic])
    rows = png_rows(
        {f"{kind} {n}": shown.get(n, ()) for kind, shown in kinds.items() for n in names}
    )
    return {name: {kind: rows[f"{kind} {name}"] for kind in kinds} for name in names}
