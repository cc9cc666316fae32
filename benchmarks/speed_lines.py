"""The rows of the table of speed, their aims, and what a raw result says about each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from records import lacks_bfloat16
from speed._pairs import spread

FASTER, LONGER, SHARE, SIZE = "times as fast", "times as long", "of the time", "times the size"
TWO_TAPE = {"two_tape": "", "two_tape_no_xla": ", no XLA"}  # keys of one peer, and their words


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        row: Number of the row; several lines may share it.
        work: What is done.
        peer: What it is compared with.
        file: Name of the raw result.
        group: Where its values have the ratio: `"ratios"` or `"memory"`.
        key: And there.
        unit: What the ratio says.
        aim: Least ratio where the unit is `FASTER` or `SHARE`, else the largest.
    """

    row: int
    work: str
    peer: str
    file: str
    group: str
    key: str
    unit: str
    aim: float

    @property
    def more_is_better(self) -> bool:
        return self.unit in (FASTER, SHARE)

    def met(self, ratio: dict[str, float]) -> bool:
        """Whether the median meets the aim."""
        value = ratio["median"]
        return value >= self.aim if self.more_is_better else value <= self.aim


def steps(row: int, work: str, file: str, aim: float) -> list[Line]:
    return [
        Line(row, work, f"two-tape Keras step, float32{more}", file, "ratios", key, FASTER, aim)
        for key, more in TWO_TAPE.items()
    ]


def loading(name: str) -> list[Line]:
    file, peer = f"loading_{name}", "image_dataset_from_directory"
    work = f"load `{name}` to 64x64"
    return [
        Line(6, work, f"`{peer}`", file, "ratios", peer, FASTER, 2.0),
        Line(6, f"{work}: peak memory", "the result", file, "memory", "ours", SIZE, 2.0),
    ]


FLOAT32, BFLOAT16 = "dcgan_step", "dcgan_step_bf16"
EXACT = "training step of the exact `DCGAN`"
COMPILED = "torch, autocast and `torch.compile`"
R3GAN = "convolutions and matrix products in a step of `R3GAN`"
STUDY = "comparison of 6 arms x 5 seeds"
PLAIN_FITS = "30 plain `fit` calls"
NO_XLA = "comparison_fits_no_xla"
SETTINGS = ("settings_dcgan", "settings_r3gan")
# Of the environment, in the results of these by a name.
VARIABLES = {"oneDNN": "TF_ENABLE_ONEDNN_OPTS", "kept memory": "TF_CPU_ALLOCATOR_USE_BFC"}
AUGMENT = "`augment` in front of a `tf.data` pipeline"
FIT = "fit of the slides' classifier"
LINES = [
    *steps(1, EXACT, FLOAT32, 1.4),
    Line(1, EXACT, "torch, float32", FLOAT32, "ratios", "torch", FASTER, 2.5),
    *steps(2, f"{EXACT}, bfloat16", BFLOAT16, 2.2),
    Line(3, R3GAN, "all operations", "r3gan_share", "ratios", "of operations", SHARE, 0.8),
    *[
        Line(4, FIT, peer, "classifier_fit", "ratios", k, FASTER, 2.2)
        for k, peer in {"plain": "plain `fit`", "plain_no_xla": "plain `fit`, no XLA"}.items()
    ],
    *[
        Line(4, f"{FIT}, 50 images", peer, "classifier_few", "ratios", k, FASTER, 1.0)
        for k, peer in {"plain": "plain `fit`", "plain_no_xla": "plain `fit`, no XLA"}.items()
    ],
    Line(5, STUDY, PLAIN_FITS, "comparison_fits", "ratios", "plain", FASTER, 3.5),
    Line(5, STUDY, f"{PLAIN_FITS}, no XLA", NO_XLA, "ratios", "plain_no_xla", FASTER, 3.5),
    Line(5, f"{STUDY}, GPU, JAX", PLAIN_FITS, "comparison_fits_gpu", "ratios", "plain", FASTER, 10),
    *loading("bone-fracture-160"),
    *loading("bone-fracture-originals"),
    Line(7, f"{AUGMENT}, a pass", "a cached array", "augmenting", "ratios", "pass", LONGER, 1.05),
    Line(7, f"{AUGMENT}, a `fit`", "a cached array", "augmenting", "ratios", "fit", LONGER, 1.05),
    Line(9, "`import synthray`", "`import keras`", "importing", "ratios", "keras", LONGER, 1.1),
    *[
        Line(10, f"{what}, GPU, {name}", COMPILED, file, "ratios", f"{gan}, torch", FASTER, 1.0)
        for name, file in {"JAX": "gpu_step_jax", "torch": "gpu_step_torch"}.items()
        for gan, what in {"DCGAN": EXACT, "R3GAN": "training step of `R3GAN`"}.items()
    ],
]


def lines_for(raw: dict[str, dict[str, Any]]) -> list[Line]:
    """Return all lines; row 2 is that of float32 where the processor emulates bfloat16.

    It is about the fastest precision.
    """
    known = raw.get(FLOAT32, {}).get("values", {}).get("instructions", [])
    if BFLOAT16 in raw or not lacks_bfloat16(known):
        return LINES
    fastest = f"{EXACT}, fastest precision: float32"
    return [
        replace(line, file=FLOAT32, work=fastest) if line.file == BFLOAT16 else line
        for line in LINES
    ]


def ratio_of(line: Line, raw: dict[str, dict[str, Any]]) -> dict[str, float] | None:
    """Return median, low and high of a line; `None` if it has not been measured."""
    if line.file not in raw:
        return None
    left = without_waits(line, raw)
    if left is not None:
        return spread(left) if left else None
    found: dict[str, float] | None = raw[line.file]["values"][line.group].get(line.key)
    return found


def without_waits(line: Line, raw: dict[str, dict[str, Any]]) -> list[float] | None:
    """Return the ratios of the rounds in which a peer's steps were all; `None` if all were."""
    values = raw.get(line.file, {}).get("values", {})
    if line.key not in TWO_TAPE or not values.get("peers_tune", True):
        return None
    seconds = values.get("seconds", {})
    theirs = seconds.get(line.key, [])
    if not any(map(waited, theirs)):
        return None
    return [a / b for a, b in zip(theirs, seconds["ours"], strict=True) if not waited(a)]


def waited(seconds: float) -> bool:
    """Whether a `fit` came back as `tf.data`'s tuner woke: it sleeps 10 ms, then twice that, ..."""
    return any(abs(seconds - 0.01 * (2**wakes - 1)) < 0.02 for wakes in range(8, 16))
