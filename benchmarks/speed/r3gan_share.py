"""Share of the time of a `R3GAN` step that goes to convolutions and matrix products.

    python benchmarks/speed/r3gan_share.py [--dtype mixed_bfloat16] [--table 15]

TensorFlow's profiler notes when each operation of a `fit` begins and ends. A round traces
`--steps` steps; `of operations` is the time of convolutions and matrix products, with their
gradients and what TensorFlow fuses into them, over that of all operations. `of threads` divides by
the time that the threads which run operations had, waiting included: it cannot be higher. Checks
that the operations take between half and all of that time. Writes `r3gan_share.json` with the time
of each kind of operation, and prints the longest.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from speed import _options
from speed._pairs import spread

HEAVY = re.compile(r"Conv[23]D|DepthwiseConv|MatMul|Einsum")
OPERATION = re.compile(r"[^:]+:(_?[A-Z]\w*)")  # name:Type
EXECUTOR = "tf_Compute"  # the threads that run operations
STEP = "multi_step_on_iterator"
HOLDS_OTHERS = ("PartitionedCall", "StatefulPartitionedCall", "While", "If", "Case")
QUICK = {"steps": 2, "batch_size": 4, "size": 16, "width": 0.25}


def kinds(space: Any) -> tuple[Counter[str], float]:
    """Return the seconds of each kind of operation, and those that the threads had.

    Args:
        space: A trace of the profiler, an `XSpace`.
    """
    found: Counter[str] = Counter()
    threads, steps = 0, 0.0
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for line in plane.lines:
            runs = line.name.startswith(EXECUTOR)
            threads += runs
            for event in line.events:
                name, seconds = names[event.metadata_id], event.duration_ps / 1e12
                match = OPERATION.fullmatch(name)
                if runs and match and match[1] not in HOLDS_OTHERS:
                    found[match[1]] += seconds
                elif name == STEP:
                    steps += seconds
    return found, threads * steps


def trace(work: Any) -> Any:
    """Return the profiler's trace of some work."""
    import tensorflow as tf

    try:
        from tensorflow.tsl.profiler.protobuf import xplane_pb2
    except ImportError as error:
        raise _options.MissingError(
            "this TensorFlow does not ship the format of its traces"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        try:
            work()
        finally:
            tf.profiler.experimental.stop()
        (path,) = Path(folder).rglob("*.xplane.pb")
        return xplane_pb2.XSpace.FromString(path.read_bytes())


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.add_argument("--dtype", choices=("float32", "mixed_bfloat16"), default="float32")
    options.add_argument("--steps", type=int, default=12, help="a round")
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--width", type=float, default=1.0, help="multiplies the filters")
    options.add_argument("--table", type=int, default=15, help="kinds of operations to print")
    args = _options.parsed(options, arguments, QUICK)
    _options.need_tensorflow()
    shape = (args.size, args.size, 1)
    images = sr.make_phantoms(args.steps * args.batch_size, image_shape=shape, seed=args.seed)
    gan = sr.R3GAN(shape, width=args.width, seed=args.seed, dtype=args.dtype)

    def fit() -> None:
        gan.fit(images, batch_size=args.batch_size, verbose=0)

    fit()  # traces the step
    total: Counter[str] = Counter()
    of_operations, of_threads, busy = [], [], []
    for _ in range(args.rounds):
        found, had = kinds(trace(fit))
        heavy = sum(seconds for kind, seconds in found.items() if HEAVY.search(kind))
        of_operations.append(heavy / found.total())
        of_threads.append(heavy / had)
        busy.append(found.total() / had)
        total += found
    if not args.quick and not 0.5 < min(busy) <= max(busy) <= 1.02:
        raise SystemExit(f"Operations take {busy} of the threads' time: the trace lacks some.")
    for kind, seconds in total.most_common(args.table):
        mark = "*" if HEAVY.search(kind) else " "
        print(f"  {seconds / total.total():6.1%} {mark} {kind}")
    values = {
        "ratios": {"of operations": spread(of_operations), "of threads": spread(of_threads)},
        "shares": {"of operations": of_operations, "of threads": of_threads},
        "operations_of_threads": busy,
        "seconds_by_kind": dict(total.most_common()),
        "heavy": HEAVY.pattern,
        "steps_a_round": args.steps,
        "batch_size": args.batch_size,
        "config": gan.get_config(),
    }
    _options.keep(args, "r3gan_share", "r3gan_share", values)


if __name__ == "__main__":
    _options.run(main)
