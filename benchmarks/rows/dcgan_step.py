"""Training step of the exact `DCGAN`, against the two-tape Keras script and torch loops.

Checks first that equal weights, images and latents give all of them the same losses. A round is
the seconds of one `fit` of `--steps` steps; tracing comes before. `two_tape` leaves `jit_compile`
at Keras' "auto", which is XLA; `two_tape_no_xla` turns it off, as ours does. `torch` is float32;
`torch_best` has channels last, and bfloat16 where the processor has it. `--dtype` is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

import synthray as sr
from benchmarks.records import has_bfloat16
from benchmarks.rows import timing

PEERS = ("two_tape", "two_tape_no_xla", "torch", "torch_best")
TOLERANCE = {"float32": 1e-4, "mixed_bfloat16": 5e-2}
QUICK = {"steps": 2, "batch_size": 4, "size": 16, "width": 0.0625}


def make_peer(name: str, images: np.ndarray, gan: Any, args: Any) -> Any:
    if name.startswith("torch"):
        from benchmarks.rows.peers_torch import TorchDCGAN

        return TorchDCGAN(images, args.batch_size, gan, fast=name == "torch_best")
    from benchmarks.rows.peers_keras import JIT_COMPILE, TwoTapePeer

    jit_compile = JIT_COMPILE[name.removeprefix("two_tape")]
    return TwoTapePeer(images, args.batch_size, gan.latent_dim, args.width, jit_compile)


def losses(gan: Any, images: np.ndarray, latents: np.ndarray) -> tuple[float, float]:
    """Return our two losses for given latents, without dropout."""
    sample, gan.sample_latents = gan.sample_latents, lambda n: latents
    try:
        both = gan.losses_from_logits(gan(images, training=False))
    finally:
        gan.sample_latents = sample
    d_loss, g_loss = (float(ops.convert_to_numpy(values).mean()) for values in both)
    return d_loss, g_loss


def check(gan: Any, peers: dict[str, Any], images: np.ndarray, tolerance: float) -> dict[str, Any]:
    """Return how far apart the losses are at most, of peers that have the weights of ours.

    Raises:
        SystemExit: If they are further apart than the tolerance.
    """
    shape = (len(images), gan.latent_dim)
    latents = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    ours = losses(gan, images, latents)
    apart = {}
    for name, peer in peers.items():
        theirs = peer.losses(images, latents)
        apart[name] = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        if not apart[name] < tolerance:
            raise SystemExit(f"The losses differ: ours {ours}, {name} {theirs}.")
    return {"d_loss": ours[0], "g_loss": ours[1], "largest_difference": apart}


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--dtype", choices=tuple(TOLERANCE), default="float32", help="ours")
    options.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    options.add_argument("--steps", type=int, default=4, help="a round")
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--width", type=float, default=1.0, help="multiplies the filters")
    args = timing.parsed(options, arguments, QUICK)
    if args.dtype != "float32" and not args.quick and not has_bfloat16():
        raise timing.MissingError("the processor has no instructions for bfloat16")
    names = list(args.peers)
    try:
        timing.need("torch")
    except timing.MissingError as reason:
        print(f"torch is left out: {reason}")
        names = [name for name in names if not name.startswith("torch")]

    shape = (args.size, args.size, 3)
    n = args.steps * args.batch_size
    images = sr.make_phantoms(n, image_shape=shape, seed=args.seed).images
    gan = sr.DCGAN(shape, width=args.width, seed=args.seed, dtype=args.dtype)
    peers = {name: make_peer(name, images, gan, args) for name in names}
    for peer in peers.values():
        peer.take_weights(gan)
    agreement = check(gan, peers, images[: args.batch_size], TOLERANCE[args.dtype])
    print(f"losses agree: {agreement['largest_difference']}")
    work: dict[str, Any] = {"ours": lambda: gan.fit(images, batch_size=args.batch_size, verbose=0)}
    work |= {name: peer.train for name, peer in peers.items()}
    first = {name: timing.timed(each)() for name, each in work.items()}  # traces
    turns = {name: timing.timed(each) for name, each in work.items()}
    seconds = timing.take_turns(turns, args.rounds)
    values = {
        "ratios": timing.times_as_fast(seconds),
        "seconds": seconds,
        "seconds_of_the_first_call": first,
        "steps_a_round": args.steps,
        "agreement": agreement,
        "config": gan.get_config(),
        "batch_size": args.batch_size,
    }
    name = "dcgan_step" + "_bf16" * (args.dtype != "float32")
    timing.keep(args, "dcgan_step", f"speed/{name}", values)


if __name__ == "__main__":
    timing.run(main)
