"""Training steps by what can be set without a change of code: precision, oneDNN, memory.

    python benchmarks/speed/settings.py [--networks DCGAN R3GAN] [--dtypes float32] [--rounds 5]

Two variables of the environment count, set before Python starts. oneDNN brings TensorFlow faster
convolutions, which it turns on by itself only on processors with certain instructions, and
`TF_ENABLE_ONEDNN_OPTS=1` elsewhere. `TF_CPU_ALLOCATOR_USE_BFC=1` makes TensorFlow keep the memory
of large maps, where the system gets it back and gives it anew, filled with zeros, at each step.
Each measurement is a process of its own, in turns: as TensorFlow comes, and with each variable, in
each precision; a processor without instructions for bfloat16 takes minutes for a step of `DCGAN` in
it, which is left out there unless `--dtypes` asks for it. Checks that losses at equal weights
agree. Writes `settings_<network>.json`; a ratio says how many times as fast as `float32`, as
TensorFlow comes, a setting is.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from records import lacks_bfloat16
from speed import _options
from speed._children import answer, ask
from speed._pairs import paired, take_turns, timed
from speed_lines import VARIABLES

NETWORKS = ("DCGAN", "R3GAN")
DTYPES = ("float32", "mixed_bfloat16")
TOLERANCE = {"float32": 1e-3, "mixed_bfloat16": 1e-1}
QUICK = {"steps": 1, "batch_size": 4, "size": 16}
TINY: dict[str, Any] = {
    "DCGAN": {"width": 0.0625},
    "R3GAN": {"width": 0.125},
}


def measure(args: Any) -> None:
    """Answer with the seconds of a step, and with the first losses: the process of one turn."""
    _options.use_threads(args.threads)
    (network,), (dtype,) = args.networks, args.dtypes
    shape = (args.size, args.size, 1)
    images = sr.make_phantoms(args.steps * args.batch_size, image_shape=shape, seed=args.seed)
    options = TINY[network] if args.quick else {}
    gan = getattr(sr, network)(shape, seed=args.seed, dtype=dtype, **options)
    gan.compile()
    first = images.images[: args.batch_size]
    before = gan.fit(first, batch_size=args.batch_size, verbose=0).history
    seconds = timed(lambda: gan.fit(images.images, batch_size=args.batch_size, verbose=0))()
    answer(
        {
            "seconds": seconds / args.steps,
            "d_loss": before["d_loss"][0],
            "g_loss": before["g_loss"][0],
        }
    )


def one(network: str, dtype: str, setting: str, args: Any, losses: dict[str, Any]) -> float:
    """Return the seconds of a step in a new process; keep its first losses.

    Args:
        network: Name of a class.
        dtype: Its precision.
        setting: Name of the variable to set, a key of `VARIABLES`, or an empty string.
        args: Those of the command.
        losses: Lists of pairs by precision, to which this one's is added.
    """
    words = ["--child", "--networks", network, "--dtypes", dtype]
    words += ["--quick"] * args.quick
    for name in ("steps", "batch_size", "size", "seed", "threads"):
        if getattr(args, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    environment = {name: "1" if key == setting else None for key, name in VARIABLES.items()}
    found = ask(__file__, *words, environment=environment)
    losses.setdefault(dtype, []).append([found["d_loss"], found["g_loss"]])
    return float(found["seconds"])


def apart(network: str, losses: dict[str, Any]) -> dict[str, float]:
    """Return how far apart the first losses of each precision are from those in float32.

    Raises:
        SystemExit: If that is more than rounding.
    """
    (truth, *_) = losses["float32"]
    found = {d: float(np.abs(np.array(each) - truth).max()) for d, each in losses.items()}
    for dtype, difference in found.items():
        if not difference < TOLERANCE[dtype]:
            raise SystemExit(f"{network}: the losses in {dtype} differ by {difference}.")
    return found


def chosen(network: str, args: Any) -> list[str]:
    """Return the precisions to measure a network in; say which is left out."""
    if args.dtypes is not None:
        return list(args.dtypes)
    if network == "DCGAN" and lacks_bfloat16() and not args.quick:
        print(f"{network} in bfloat16 is left out: no instructions for it here (--dtypes).")
        return ["float32"]
    return list(DTYPES)


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options.add_argument("--dtypes", nargs="+", choices=DTYPES, help="default: all that it bears")
    options.add_argument("--threads", type=int, help="of TensorFlow; default: all cores")
    options.add_argument("--steps", type=int, default=2, help="a round")
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--child", action="store_true", help="measure one setting, in here")
    args = _options.parsed(options, arguments, QUICK)
    _options.need_tensorflow()
    if args.child:
        measure(args)
        return
    for network in args.networks:
        dtypes = ["float32", *(d for d in chosen(network, args) if d != "float32")]
        losses: dict[str, Any] = {}
        work = {
            ", ".join(filter(None, (dtype, name))): functools.partial(
                one, network, dtype, name, args, losses
            )
            for dtype in dtypes
            for name in ("", *VARIABLES)
        }
        seconds = take_turns(work, args.rounds)
        agreement = apart(network, losses)
        print(f"{network}: losses agree: {agreement}", flush=True)
        values = {
            "network": network,
            "ratios": {
                name: paired(seconds["float32"], each)
                for name, each in seconds.items()
                if name != "float32"
            },
            "seconds_of_a_step": seconds,
            "steps_a_round": args.steps,
            "largest_difference_of_losses": agreement,
            "batch_size": args.batch_size,
            "image_shape": [args.size, args.size, 1],
        }
        _options.keep(args, "settings", f"settings_{network.lower()}", values)


if __name__ == "__main__":
    _options.run(main)
