"""Training and generating on a GPU, against plain torch with autocast and `torch.compile`.

`DCGAN` and `R3GAN` train through `fit` in bfloat16, on the backend that Keras has. The peer of
`DCGAN` is the same network in torch, channels last, with autocast and `torch.compile`, on the same
card; equal weights must give equal losses. A round is the seconds of `--steps` steps.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np

# Two libraries share the card: none may take all of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

import keras

import synthray as sr
from benchmarks.records import gpu
from benchmarks.rows import timing
from benchmarks.rows.dcgan_step import check

DTYPE, TOLERANCE = "mixed_bfloat16", 5e-2
QUICK = {"steps": 2, "batch_size": 4, "size": 16, "width": 0.0625, "generated": 8}
Parts = dict[str, dict[str, Any]]


def measure(name: str, gan: Any, images: np.ndarray, args: Any) -> Parts:
    """Return what one generator and its peer took, by the names of the record's parts."""
    peer = None
    if name == "DCGAN" and find_spec("torch") is not None:
        from benchmarks.rows.peers_torch import TorchDCGAN

        device = "cpu" if args.cpu else "cuda"
        peer = TorchDCGAN(images, args.batch_size, gan, device=device, fast=not args.cpu)
    work: dict[str, Any] = {"ours": lambda: gan.fit(images, batch_size=args.batch_size, verbose=0)}
    agreement = None
    if peer is not None:
        agreement = check(gan, {"torch": peer}, images[: args.batch_size], TOLERANCE)
        work["torch"] = peer.train
    first = {who: timing.timed(each)() for who, each in work.items()}  # compiles
    print(f"losses agree: {agreement}; first round, with compilation: {first}", flush=True)
    turns = {who: timing.timed(each) for who, each in work.items()}
    seconds = timing.take_turns(turns, args.rounds)
    generate = timing.timed(lambda: gan.sample(args.generated, seed=0, batch_size=256))
    generate()  # compiles
    generating = [generate() for _ in range(args.rounds)]
    ratios = timing.times_as_fast(seconds)
    return {
        "ratios": {f"{name}, {other}": ratio for other, ratio in ratios.items()},
        "seconds": {name: seconds},
        "images_a_second": {name: timing.spread(len(images) / s for s in seconds["ours"])},
        "generated_a_second": {name: timing.spread(args.generated / s for s in generating)},
        "agreement": {name: agreement},
    }


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--steps", type=int, default=100, help="a round")
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--width", type=float, default=1.0, help="multiplies the filters")
    options.add_argument("--generated", type=int, default=4_096, help="images a round")
    options.add_argument("--cpu", action="store_true", help="without a GPU: to see that it runs")
    args = timing.parsed(options, arguments, QUICK)
    backend = keras.backend.backend()
    if gpu() is None and not args.cpu:
        raise timing.MissingError(f"Keras' backend {backend} sees no GPU on this machine")
    shape, n = (args.size, args.size, 3), args.steps * args.batch_size
    images = np.random.default_rng(args.seed).integers(0, 256, (n, *shape), dtype=np.uint8)
    shared: dict[str, Any] = {"width": args.width, "seed": args.seed, "dtype": DTYPE}
    gans = {
        "DCGAN": sr.DCGAN(shape, **shared),
        "R3GAN": sr.R3GAN(shape, **shared),
    }
    values: dict[str, Any] = {
        "steps_a_round": args.steps,
        "batch_size": args.batch_size,
        "dtype": DTYPE,
    }
    for name, gan in gans.items():
        for part, found in measure(name, gan, images, args).items():
            values[part] = values.get(part, {}) | found
        # Kept after each: what a time limit ends is not lost.
        timing.keep(args, "gpu_step", f"speed/gpu_step_{backend}", values)


if __name__ == "__main__":
    timing.run(main)
