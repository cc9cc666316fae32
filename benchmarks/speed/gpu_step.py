"""Training steps and drawing on a GPU, against plain torch with autocast and `torch.compile`.

    KERAS_BACKEND=jax python benchmarks/speed/gpu_step.py [--peak-tflops 989]

`DCGAN` and `R3GAN` train through `fit` in bfloat16, on the backend that Keras has; their peers are
the same networks in torch, with autocast and `torch.compile`, on the same card (`_torch_dcgan.py`,
`_torch_r3gan.py`; `R3GAN` without augmentation on both sides). Equal weights must give equal
losses. A round is the seconds of `--steps` steps. `--peak-tflops` is what the card's data sheet
says for dense bfloat16: the share of it that a step's convolutions and matrix products reach is
told. Writes `gpu_step_<backend>.json`; skipped where there is no GPU.
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Two libraries share the card: none may take all of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

import keras

import synthray as sr
from records import gpu
from speed import _options
from speed._dcgan_sizes import r3gan_step_flops, step_flops
from speed._pairs import Seconds, spread, take_turns, timed, times_as_fast
from speed.dcgan_step import check

DTYPE, TOLERANCE = "mixed_bfloat16", 5e-2
FLOPS = {"DCGAN": step_flops, "R3GAN": r3gan_step_flops}
QUICK = {"steps": 2, "batch_size": 4, "size": 16, "width": 0.0625, "drawn": 8}


def torch_peer(name: str, images: np.ndarray, gan: Any, args: Any, device: str) -> Any:
    """Return the peer, or `None` where torch cannot use the card."""
    try:
        _options.need("torch")
    except _options.MissingError as reason:
        print(f"torch is skipped: {reason}")
        return None
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        print("torch is skipped: this build of it sees no GPU")
        return None
    fast = device == "cuda"
    if name == "DCGAN":
        from speed._torch_dcgan import TorchPeer

        width = gan.get_config()["width"]
        return TorchPeer(images, args.batch_size, gan.latent_dim, width, device=device, fast=fast)
    from speed._torch_r3gan import TorchR3GAN

    return TorchR3GAN(images, args.batch_size, gan, device=device, fast=fast)


def stir(network: Any, seed: int) -> None:
    """Put small numbers where weights are zero at first, so that every layer counts."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        value = np.array(variable.numpy())
        if not value.any():
            variable.assign(rng.normal(0, 0.1, value.shape).astype("float32"))


def images_a_second(seconds: list[float], images: int) -> dict[str, float]:
    return spread(images / each for each in seconds)


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.add_argument("--peak-tflops", type=float, help="of the card, dense bfloat16")
    options.add_argument("--steps", type=int, default=100, help="a round")
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--width", type=float, default=1.0, help="multiplies the filters")
    options.add_argument("--drawn", type=int, default=4_096, help="images a round of drawing")
    options.add_argument("--cpu", action="store_true", help="without a GPU: to see that it runs")
    args = _options.parsed(options, arguments, QUICK)
    card, backend = gpu(), keras.backend.backend()
    if card is None and not args.cpu:
        raise _options.MissingError(f"Keras' backend {backend} sees no GPU on this machine")
    shape, n = (args.size, args.size, 3), args.steps * args.batch_size
    images = np.random.default_rng(args.seed).integers(0, 256, (n, *shape), dtype=np.uint8)
    own = {
        "DCGAN": sr.DCGAN(shape, width=args.width, seed=args.seed, dtype=DTYPE),
        "R3GAN": sr.R3GAN(
            shape, width=args.width, seed=args.seed, dtype=DTYPE, augment_strength=0.0
        ),
    }
    values: dict[str, Any] = {
        "ratios": {},
        "seconds": {},
        "images_a_second": {},
        "seconds_of_drawing": {},
        "drawn_a_second": {},
        "agreement": {},
        "teraflops_reached": {},
        "flops_of_a_step": {k: FLOPS[k](gan, args.batch_size) for k, gan in own.items()},
        "gpu": card,
        "peak_teraflops": args.peak_tflops,
        "steps_a_round": args.steps,
        "batch_size": args.batch_size,
        "dtype": DTYPE,
    }
    for name, gan in own.items():
        print(name, flush=True)
        for group, found in measure(name, gan, images, args, "cuda" if card else "cpu").items():
            values[group] |= found
        # Kept after each: what a time limit ends is not lost.
        _options.keep(args, "gpu_step", f"gpu_step_{backend}", values)


def measure(
    name: str, gan: Any, images: np.ndarray, args: Any, device: str
) -> dict[str, dict[str, Any]]:
    """Return what one generator and its peer took, by the names of the result's parts."""
    stir(gan.generator, args.seed)
    stir(gan.discriminator, args.seed)
    peer = torch_peer(name, images, gan, args, device)
    agreement = None
    work = {"ours": lambda: gan.fit(images, batch_size=args.batch_size, verbose=0)}
    if peer is not None:
        agreement = check(gan, {"torch": peer}, images[: args.batch_size], TOLERANCE)
        print(f"losses agree: {agreement}")
        work["torch"] = peer.train
    first = {who: timed(each)() for who, each in work.items()}  # compiles
    print(f"first round, with compilation: {first}", flush=True)
    seconds: Seconds = take_turns({who: timed(w) for who, w in work.items()}, args.rounds)
    draw = timed(lambda: gan.sample(args.drawn, seed=0, batch_size=256))
    draw()  # compiles
    drawing = [draw() for _ in range(args.rounds)]
    step = statistics.median(seconds["ours"]) / args.steps
    found = {
        "ratios": {f"{name}, {other}": r for other, r in times_as_fast(seconds).items()},
        "seconds": {name: seconds},
        "images_a_second": {name: images_a_second(seconds["ours"], len(images))},
        "seconds_of_drawing": {name: drawing},
        "drawn_a_second": {name: images_a_second(drawing, args.drawn)},
        "agreement": {name: agreement},
        "teraflops_reached": {name: FLOPS[name](gan, args.batch_size) / step / 1e12},
    }
    trained, drawn = found["images_a_second"][name], found["drawn_a_second"][name]
    print(f"images a second: {trained['median']:,.0f}; drawn: {drawn['median']:,.0f}", flush=True)
    return found


if __name__ == "__main__":
    _options.run(main)
