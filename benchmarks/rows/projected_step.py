"""Training step of `ProjectedGAN`, against the same step in torch at its best.

Checks first that equal weights, images and latents give both the same losses. A round is the
seconds of one `fit` of `--steps` steps; tracing comes before. Torch is measured with channels first
and last and, where the processor has it, in bfloat16: then against ours in bfloat16.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import synthray as sr
from benchmarks.records import has_bfloat16
from benchmarks.rows import timing
from benchmarks.rows.dcgan_step import check

TOLERANCE = 1e-3
QUICK = {"steps": 1, "batch_size": 2, "width": 0.125}


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--steps", type=int, default=12, help="a round")
    options.add_argument("--batch-size", type=int, default=sr.ProjectedGAN.BATCH_SIZE)
    options.add_argument("--width", type=float, default=1.0, help="multiplies the filters")
    args = timing.parsed(options, arguments, QUICK)
    timing.need("torch")
    from benchmarks.rows.peers_projected import TorchProjectedGAN

    shape = (64, 64, 1)
    n = args.steps * args.batch_size
    images = sr.make_phantoms(n, image_shape=shape, seed=args.seed).images
    own: dict[str, Any] = {"width": args.width, "seed": args.seed}
    gan = sr.ProjectedGAN(shape, **own)
    gans = {"ours": gan}
    forms = {"torch": (False, False), "torch_channels_last": (False, True)}
    if has_bfloat16():
        forms["torch_bfloat16"] = (True, True)
        gans["ours_bfloat16"] = sr.ProjectedGAN(shape, **own, dtype="mixed_bfloat16")
    peers = {
        name: TorchProjectedGAN(images, args.batch_size, gan, half=half, last=last)
        for name, (half, last) in forms.items()
    }
    exact = {name: peer for name, peer in peers.items() if not peer.half}
    plain = sr.ProjectedGAN(shape, augment=(), **own)  # nothing random but the latents
    agreement = check(plain, exact, images[: args.batch_size], TOLERANCE)
    print(f"losses agree: {agreement['largest_difference']}")
    work: dict[str, Any] = {
        name: partial(each.fit, images, batch_size=args.batch_size, verbose=0)
        for name, each in gans.items()
    }
    work |= {name: peer.train for name, peer in peers.items()}
    for each in work.values():
        each()  # traces
    turns = {name: timing.timed(each) for name, each in work.items()}
    seconds = timing.take_turns(turns, args.rounds)
    rates = {name: timing.spread(n / each for each in times) for name, times in seconds.items()}
    for name, rate in rates.items():
        print(f"{name}: {timing.as_text(rate)} images a second")
    values = {
        "ratios": {
            name: timing.paired(seconds[name], seconds["ours_bfloat16" if peer.half else "ours"])
            for name, peer in peers.items()
        },
        "seconds": seconds,
        "images_a_second": rates,
        "steps_a_round": args.steps,
        "agreement": agreement,
        "config": gan.get_config(),
        "batch_size": args.batch_size,
    }
    timing.keep(args, "projected_step", "speed/projected_step", values)


if __name__ == "__main__":
    timing.run(main)
