"""`SampleReport`: what `evaluate_samples` measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthray._report.images import pair_columns
from synthray.audit.samples import plots
from synthray.audit.samples.memorization import Memorization

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADINGS = ("KID", "95 % interval", "SWD", "precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class SampleScores:
    """How near one set of images is to held-out real ones.

    Attributes:
        kid: Kernel distance, 0 for the same distribution; may be a little below.
        kid_low: Lower end of its 95 % interval.
        kid_high: Upper end.
        swd: Sliced Wasserstein distance, 0 or more.
        precision: Share of the images that lie among real ones, 0 to 1.
        recall: Share of the held-out images that lie among these, 0 to 1.
        density: 1 where as dense as real ones; above where crowded.
        coverage: Share of the held-out images that have one of these nearby, 0 to 1.
    """

    kid: float
    kid_low: float
    kid_high: float
    swd: float
    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, eq=False, repr=False)
class SampleReport:
    """Drawn images beside two yardsticks, and what they copied. `print` shows a table.

    Attributes:
        scores: `"drawn"`, `"real"` (training images: as good as it gets) and `"augmented"` (classic
            augmentation of training images), each judged against held-out images, in sets of equal
            size.
        n_judged: Images in each of those sets.
        memorization: What was copied; `None` where it was not looked for.
        pairs: The closest pairs of a drawn and a training image. `to_dict` leaves them out.
        pictures: Some `"real"` images (held out) and some `"drawn"` ones, `uint8 (n, h, w, c)`;
            `to_dict` leaves them out.
    """

    scores: dict[str, SampleScores]
    n_judged: int
    memorization: Memorization | None
    pairs: tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], ...] = field(default=())
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the table, and the verdict on copies."""
        rows: list[tuple[str, ...]] = [("images", *_HEADINGS)]
        for name, s in self.scores.items():
            interval = f"[{s.kid_low:.3f}, {s.kid_high:.3f}]"
            shares = (f"{v:.2f}" for v in (s.precision, s.recall, s.density, s.coverage))
            rows.append((name, f"{s.kid:.3f}", interval, f"{s.swd:.3f}", *shares))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        lines += ["", f"Each of {self.n_judged} images, judged against as many held-out real ones."]
        if self.memorization is None:
            return "\n".join([*lines, "Copies of training images were not looked for."])
        return "\n".join([*lines, self.memorization.describe()])

    __repr__ = __str__

    def plot(self) -> Figure:
        """Draw KID with its interval, precision, recall, density and coverage of each set."""
        return plots.scores(self)

    def plot_pairs(self, n: int = 8) -> Figure:
        """Draw the closest pairs: drawn images above the training images nearest to them."""
        return pair_columns(self.pairs[:n], "drawn", "training")

    def to_html(self, path: str | PathLike[str], *, title: str = "Drawn images") -> None:
        """Write one self-contained page: scores, pictures, the verdict on copies, closest pairs.

        `ComparisonResult.to_html(samples=...)` takes it in as a section.

        Args:
            path: The file. It needs no network and no other file.
            title: What was drawn.
        """
        from synthray.audit.samples import page

        Path(path).write_text(page.render(self, title), encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the images as JSON-ready values."""
        found = None
        if self.memorization is not None:
            found = asdict(self.memorization)
            for name in ("copies", "copied", "closest"):
                found[name] = found[name].tolist()
        return {
            "n_judged": self.n_judged,
            "scores": {name: asdict(scores) for name, scores in self.scores.items()},
            "memorization": found,
        }
