"""Training steps and drawing on a GPU, against plain torch with autocast and `torch.compile`.

    KERAS_BACKEND=jax python benchmarks/speed/gpu_step.py [--peak-tflops 989]

`DCGAN` and `R3GAN` train through `fit` in bfloat16, on the backend that Keras has; the peer is the
DCGAN of `dcgan_step.py` in torch, with autocast and `torch.compile`, on the same card. A round is
the seconds of `--steps` steps. `--peak-tflops` is what the card's data sheet says for dense
bfloat16: the share of it that a step's convolutions and matrix products reach is told. `R3GAN` has
no peer here: its step with penalties, adaptive augmentation and averaging has not been written in
torch. Writes `gpu_step_<backend>.json`; skipped where there is no GPU.
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
from speed import _options
from speed._dcgan_sizes import step_flops
from speed._pairs import Seconds, spread, take_turns, timed, times_as_fast
from speed.dcgan_step import check

DTYPE, TOLERANCE = "mixed_bfloat16", 5e-2
QUICK = {"steps": 2, "batch_size": 4, "size": 16, "width": 0.0625, "drawn": 8}


def gpu() -> str | None:
    """Return the name of the GPU that Keras' backend sees; `None` if it sees none."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if backend == "jax":
        import jax

        found = [device for device in jax.devices() if device.platform == "gpu"]
        return found[0].device_kind if found else None
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(cards[0])["device_name"] if cards else None


def torch_peer(images: np.ndarray, gan: Any, args: Any, device: str) -> Any:
    """Return the peer, or `None` where torch cannot use the card."""
    try:
        _options.need("torch")
    except _options.MissingError as reason:
        print(f"torch is skipped: {reason}")
        return None
    import torch

    from speed._torch_dcgan import TorchPeer

    if device == "cuda" and not torch.cuda.is_available():
        print("torch is skipped: this build of it sees no GPU")
        return None
    fast = device == "cuda"
    width = gan.get_config()["width"]
    return TorchPeer(images, args.batch_size, gan.latent_dim, width, device=device, fast=fast)


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
        name: getattr(sr, name)(shape, width=args.width, seed=args.seed, dtype=DTYPE)
        for name in ("DCGAN", "R3GAN")
    }
    peer = torch_peer(images, own["DCGAN"], args, "cuda" if card else "cpu")
    agreement = None
    if peer is not None:
        agreement = check(own["DCGAN"], {"torch": peer}, images[: args.batch_size], TOLERANCE)
    ratios, seconds, drawing = {}, {}, {}
    for name, gan in own.items():

        def fit(gan: Any = gan) -> None:
            gan.fit(images, batch_size=args.batch_size, verbose=0)

        work = {"ours": fit}
        if name == "DCGAN" and peer is not None:
            work["torch"] = peer.train
        for each in work.values():
            each()  # compiles
        print(name)
        found: Seconds = take_turns({who: timed(w) for who, w in work.items()}, args.rounds)
        seconds[name] = found
        ratios |= {f"{name}, {other}": r for other, r in times_as_fast(found).items()}
        draw = timed(lambda gan=gan: gan.sample(args.drawn, seed=0, batch_size=256))
        draw()  # compiles
        drawing[name] = [draw() for _ in range(args.rounds)]
    step = statistics.median(seconds["DCGAN"]["ours"]) / args.steps
    flops = step_flops(own["DCGAN"], args.batch_size)
    reached = flops / step / 1e12
    values = {
        "ratios": ratios,
        "seconds": seconds,
        "images_a_second": {k: images_a_second(v["ours"], n) for k, v in seconds.items()},
        "drawn_a_second": {k: images_a_second(v, args.drawn) for k, v in drawing.items()},
        "seconds_of_drawing": drawing,
        "gpu": card,
        "flops_of_a_dcgan_step": flops,
        "teraflops_reached": reached,
        "peak_teraflops": args.peak_tflops,
        "share_of_peak": reached / args.peak_tflops if args.peak_tflops else None,
        "agreement": agreement,
        "steps_a_round": args.steps,
        "batch_size": args.batch_size,
        "dtype": DTYPE,
    }
    print(f"images a second: {values['images_a_second']}; drawn: {values['drawn_a_second']}")
    _options.keep(args, "gpu_step", f"gpu_step_{backend}", values)


if __name__ == "__main__":
    _options.run(main)
