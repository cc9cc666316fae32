"""Fills the tables of README.md and docs/ from the raw results in `benchmarks/results/`.

    python -m benchmarks.tables [--check]

`--check` changes nothing; it fails where a table is not what the raw results give, and where a
block has no filler. A block for a table is made of two lines of its own:

    <!-- results:bone -->
    <!-- /results:bone -->
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable

from benchmarks.tables import checks, quality, speed, study
from benchmarks.tables.markdown import ROOT

BLOCK = re.compile(r"(<!-- results:(\w+) -->\n).*?(\n<!-- /results:\2 -->)", re.DOTALL)
FILLERS = (
    *(study.bone, study.leak, study.study_headline, study.study),
    *(quality.transfer, quality.weak_baselines, quality.generators),
    *(quality.presets, quality.fine_tuning),
    *(
        quality.judge,
        quality.judge_of_damage,
        quality.judge_of_real_images,
        quality.judge_of_swirls,
    ),
    *(speed.speed, speed.pieces),
    *(checks.duplicates, checks.peers_duplicates, checks.public_sets),
    *(checks.error_rates, checks.promises),
)
TABLES: dict[str, Callable[[], str]] = {each.__name__: each for each in FILLERS}


def fill(text: str) -> str:
    """Return a page with its blocks filled; a block without filler or end ends the program."""
    names = re.findall(r"^<!-- results:(\w+) -->$", text, re.MULTILINE)
    if wrong := set(names) - set(TABLES):
        raise SystemExit(f"No filler for {wrong}; there are {', '.join(TABLES)}.")
    text, n = BLOCK.subn(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)
    if n != len(names):
        raise SystemExit(f"A block of {names} has no end.")
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(arguments)
    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        filled = fill(text)
        if filled != text:
            stale.append(page.relative_to(ROOT).as_posix())
            if not args.check:
                page.write_text(filled, encoding="utf-8")
    if stale:
        print("changed:" if not args.check else "not what the raw results give:", *stale)
    return int(args.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
