"""What all tables are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
SETS = {
    "fracatlas": "FracAtlas",
    "fracatlas_128": "FracAtlas, 128x128",
    "bone": "bone set",
    "chest": "chest films",
    "pneumoniamnist": "PneumoniaMNIST",
    "phantoms": "phantoms",
    "tissue": "stained tissue",
    "cells": "cells",
    "speckle": "speckle",
    "lesions": "skin lesions",
    "busi": "BUSI, breast ultrasound",
    "blood_cells": "blood cells",
    "brain_mri": "brain tumours, MRI",
    "covid": "COVID-19 radiography",
}
Values = dict[str, Any]


def load(name: str) -> Values:
    return dict(json.loads((RESULTS / name).read_text(encoding="utf-8")))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *notes: str) -> str:
    """Return a table in Markdown, with notes below it."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    lines.insert(1, "|---" * len(heads) + "|")
    return "\n\n".join(["\n".join(lines), *notes])


def interval(found: Values, sign: str = "", digits: int = 3) -> str:
    """Return a value or difference with its interval."""
    value = found.get("value", found.get("difference", found.get("kid", found.get("median"))))
    low, high = (found.get(key, found.get(f"kid_{key}")) for key in ("low", "high"))
    if value is None:
        return "-"
    text = f"{value:{sign}.{digits}f}"
    return text if low is None else f"{text} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
