"""Draw the pictures of the documentation: `python docs/assets/make_figures.py`."""

from __future__ import annotations

from pathlib import Path

import synthray as sr

HERE = Path(__file__).parent


def phantoms() -> None:
    """Draw the contact sheet of simulated radiographs."""
    data = sr.make_phantoms(200, image_shape=(128, 128, 1), seed=0)
    data.plot_samples(8).savefig(HERE / "phantoms.png", dpi=120)


if __name__ == "__main__":
    phantoms()
