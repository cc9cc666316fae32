"""What an audit finds in public sets of medical images.

    python -m benchmarks.rows.public_sets --data FOLDER [--sets busi brain_mri] [--pictures]

FOLDER holds each set in a folder or file of its own, as docs/public_sets.md says; one that is not
there is named and skipped. The record keeps what was found before in sets that are left out.
`--pictures` also writes two pairs of each set whose licence allows it, for the documentation.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import synthray as sr
from benchmarks.rows import timing
from benchmarks.rows.data import SOURCES, load
from benchmarks.rows.generators import ASSETS
from synthray.reports.figures import class_rows


class Public(NamedTuple):
    """A set: its place, and its name in the picture if that may show it."""

    path: str
    title: str = ""


PUBLIC = {
    "bone": Public(SOURCES["bone"]),
    "fracatlas": Public(SOURCES["fracatlas"], "FracAtlas"),
    "chest": Public(SOURCES["chest"], "chest films"),
    "pneumoniamnist": Public(SOURCES["pneumoniamnist"]),
    "busi": Public("busi", "BUSI"),
    "blood_cells": Public("blood_cells", "blood cells"),
    "brain_mri": Public("brain_mri", "brain MRI"),
    "covid": Public("covid"),
}
PAIRS = 2  # of a set, in the picture
LEAK = ("train", "test", "n_test", "known", "identical", "same_group")  # what is kept of each


def audit(name: str, args: Any) -> sr.AuditReport:
    """Audit a set as it is published; FracAtlas has no split of its own."""
    if args.quick:
        data = sr.make_phantoms(40, displacement=1.0, seed=args.seed)
        return sr.audit_images(
            {"train": data.select(range(30)), "test": data.select(range(26, 40))}
        )
    path = timing.need_data(args, PUBLIC[name].path)
    return sr.audit_images(load(name, args) if name == "fracatlas" else path)


def found(report: sr.AuditReport) -> dict[str, Any]:
    """Return the counts that the table shows."""
    told = report.to_dict()
    return {
        "images": told["n_images"],
        "different": told["n_clusters"],
        "unreadable": len(told["unreadable"]),
        "conflicts": len(told["conflicts"]),
        "conflicting_images": sum(len(told["clusters"][str(k)]) for k in told["conflicts"]),
        "leaks": [{key: leak[key] for key in LEAK} for leak in told["leaks"]],
    }


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=tuple(PUBLIC), default=tuple(PUBLIC))
    options.add_argument("--pictures", action="store_true", help="write them for the docs")
    args = timing.parsed(options, arguments, {"sets": ("busi",)})
    sets, lines = timing.before(args, "public_sets").get("sets", {}), {}
    for name in args.sets:
        began = time.process_time()
        try:
            report = audit(name, args)
        except timing.MissingError as reason:
            print(f"skipped {name}: {reason}")
            continue
        print(f"{name}\n{report}\n", flush=True)
        sets[name] = {**found(report), "seconds": time.process_time() - began}
        if PUBLIC[name].title:
            pictures = [each for pair in report.pairs[:PAIRS] for each in pair.pictures]
            lines[PUBLIC[name].title] = pictures
    if args.pictures:
        path = ASSETS / "public_sets.png"
        class_rows(lines, 2 * PAIRS).savefig(path, dpi=80)
    timing.keep(args, "public_sets", "public_sets", {"sets": sets})


if __name__ == "__main__":
    timing.run(main)
