"""Training step of the exact `DCGAN`, against the two-tape Keras script and a torch loop.

    python benchmarks/speed/dcgan_step.py [--dtype mixed_bfloat16] [--peers two_tape torch]

Checks first that equal weights, images and latents give all of them the same losses. A round is
the seconds of one `fit` of `--steps` steps; tracing comes before. Peers stay in float32. `two_tape`
leaves `jit_compile` at Keras' "auto", which is XLA; `two_tape_no_xla` turns it off, as ours does.
Writes `dcgan_step.json`, or `dcgan_step_bf16.json` for bfloat16.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from speed import _options
from speed._pairs import take_turns, timed, times_as_fast

PEERS = ("two_tape", "two_tape_no_xla", "torch")
TOLERANCE = {"float32": 1e-4, "mixed_bfloat16": 5e-2}
SUFFIX = {"float32": "", "mixed_bfloat16": "_bf16"}
QUICK = {"steps": 2, "batch_size": 4, "size": 16, "width": 0.0625}


def peer(name: str, images: np.ndarray, gan: Any, args: Any) -> Any:
    if name == "torch":
        from speed._torch_dcgan import TorchPeer

        threads = _options.cores() if args.threads is None else args.threads
        return TorchPeer(images, args.batch_size, gan.latent_dim, args.width, threads=threads)
    from speed._two_tape import TwoTapePeer

    jit_compile = "auto" if name == "two_tape" else False
    return TwoTapePeer(images, args.batch_size, gan.latent_dim, args.width, jit_compile)


def losses(gan: Any, images: np.ndarray, latents: np.ndarray) -> tuple[float, float]:
    """Return our two losses for given latents, without dropout."""
    drawn, gan.draw_latents = gan.draw_latents, lambda n: latents
    try:
        both = gan.losses_from_logits(gan(images, training=False))
    finally:
        gan.draw_latents = drawn
    d_loss, g_loss = (float(ops.convert_to_numpy(values).mean()) for values in both)
    return d_loss, g_loss


def check(gan: Any, peers: dict[str, Any], images: np.ndarray, tolerance: float) -> dict[str, Any]:
    """Return how far apart the losses are at most.

    Raises:
        SystemExit: If they are further apart than the tolerance.
    """
    shape = (len(images), gan.latent_dim)
    latents = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    ours = losses(gan, images, latents)
    apart = {}
    for name, other in peers.items():
        other.take_weights(gan)
        theirs = other.losses(images, latents)
        apart[name] = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        if not apart[name] < tolerance:
            raise SystemExit(f"The losses differ: ours {ours}, {name} {theirs}.")
    return {"d_loss": ours[0], "g_loss": ours[1], "largest_difference": apart}


def available(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the peers that can be had, and why others cannot."""
    missing = {}
    if "torch" in names:
        try:
            _options.need("torch")
        except _options.MissingError as reason:
            missing["torch"] = str(reason)
            print(f"torch is skipped: {reason}")
    return [name for name in names if name not in missing], missing


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.add_argument("--dtype", choices=tuple(TOLERANCE), default="float32", help="ours")
    options.add_argument("--peers", nargs="+", choices=PEERS, help="default: all, for float32")
    options.add_argument("--threads", type=int, help="of TensorFlow and torch; default: all cores")
    options.add_argument("--steps", type=int, default=4, help="a round")
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--width", type=float, default=1.0, help="multiplies the filters")
    args = _options.parsed(options, arguments, QUICK)
    _options.need_tensorflow()
    threads = _options.use_threads(args.threads)
    half = args.dtype != "float32"
    names, missing = available(args.peers or list(PEERS[:2] if half else PEERS))

    shape = (args.size, args.size, 3)
    images = sr.make_phantoms(
        args.steps * args.batch_size, image_shape=shape, seed=args.seed
    ).images
    gan = sr.DCGAN(shape, width=args.width, seed=args.seed, dtype=args.dtype)
    peers = {name: peer(name, images, gan, args) for name in names}
    agreement = check(gan, peers, images[: args.batch_size], TOLERANCE[args.dtype])
    print(f"losses agree: {agreement['largest_difference']}")

    def ours() -> None:
        gan.fit(images, batch_size=args.batch_size, verbose=0)

    work: dict[str, Callable[[], Any]] = {"ours": ours}
    work |= {name: other.train for name, other in peers.items()}
    first = {name: timed(each)() for name, each in work.items()}  # traces
    seconds = take_turns({name: timed(each) for name, each in work.items()}, args.rounds)
    values = {
        "ratios": times_as_fast(seconds),
        "seconds": seconds,
        "seconds_of_the_first_call": first,
        "steps_a_round": args.steps,
        "peers_tune": False,  # once they did, and waited for it
        "agreement": agreement,
        "not_measured": missing,
        "config": gan.get_config(),
        "batch_size": args.batch_size,
        "threads": threads,
    }
    _options.keep(args, "dcgan_step", f"dcgan_step{SUFFIX[args.dtype]}", values)


if __name__ == "__main__":
    _options.run(main)
