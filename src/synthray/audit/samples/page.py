"""A `SampleReport` as a page, and as a section of the page of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synthray._report import template
from synthray._report.png import encoded
from synthray._report.svg import inline_svg
from synthray.audit.samples import plots

if TYPE_CHECKING:
    from synthray.audit.samples.report import SampleReport, SampleScores

_ROWS = {
    "drawn": "drawn images",
    "augmented": "yardstick: training images, classic augmentation",
    "real": "yardstick: training images",
}


def render(report: SampleReport, title: str) -> str:
    """Return a page of its own: HTML that needs no network, no script and no other file."""
    content = {"title": title, "part": section(report, title)}
    return template.render("audit/samples/page.html.j2", content)


def sections(reports: Mapping[str, SampleReport]) -> list[dict[str, Any]]:
    """Return what the template of a section knows, for each class."""
    return [section(report, name, place) for place, (name, report) in enumerate(reports.items())]


def warnings(reports: Mapping[str, SampleReport]) -> list[tuple[str, str]]:
    """Return heading and text for each class of which training images were copied."""
    screens = {name: report.memorization for name, report in reports.items()}
    return [
        (f"Copies among the drawn images: {name}", screen.describe())
        for name, screen in screens.items()
        if screen is not None and len(screen.copies)
    ]


def section(report: SampleReport, title: str, place: int = 0) -> dict[str, Any]:
    """Return what the template of a section knows.

    Args:
        report: The report.
        title: The heading: what was drawn.
        place: Number of the section on its page.
    """
    screen = report.memorization
    uris = iter(encoded([image for pair in report.pairs for image in pair]))
    return {
        "title": title,
        "n": f"{report.n_judged:,}",
        "rows": [(text, _cells(report.scores[name])) for name, text in _ROWS.items()],
        "figure": inline_svg(plots.scores(report), f"drawn-{place}", f"Scores. {report}"),
        "found": None if screen is None else screen.found,
        "verdict": "" if screen is None else screen.describe(),
        "facts": [] if screen is None else _facts(screen),
        "copied": screen is not None and bool(len(screen.copies)),
        "pairs": list(zip(uris, uris, strict=True)),
        "pictures": _pictures(report),
    }


def _cells(found: SampleScores) -> list[tuple[str, str]]:
    plain = [f"{found.swd:.3f}"]
    plain += [f"{v:.2f}" for v in (found.precision, found.recall, found.density, found.coverage)]
    interval = f"{found.kid_low:.3f} to {found.kid_high:.3f}"
    return [(f"{found.kid:.3f}", interval), *((text, "") for text in plain)]


def _facts(screen: Any) -> list[tuple[str, str]]:
    return [
        ("drawn images looked at", f"{screen.n_drawn:,}"),
        ("showing the radiograph of a training image", f"{len(screen.copies):,}"),
        ("C_T, in standard deviations (below \N{MINUS SIGN}3: too near)", f"{screen.c_t:+.1f}"),
        ("authentic by nearest neighbours", f"{screen.authenticity:.0%}"),
        ("distance to training, drawn to held-out", f"{screen.ratio:.2f}"),
    ]


def _pictures(report: SampleReport) -> dict[str, list[tuple[str, str]]]:
    uris = iter(encoded([image for row in report.pictures.values() for image in row]))
    return {
        kind: [(next(uris), f"{kind} image {k + 1}") for k in range(len(row))]
        for kind, row in report.pictures.items()
    }
