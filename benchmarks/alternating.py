"""One pass for both networks, against updates in turns: the same images seen, the same seeds.

    python benchmarks/alternating.py --data PATH [--epochs 7] [--seeds 3] [--jobs 2]

PATH is FracAtlas at 64x64, `.npz`. `R3GAN` as it is updates both networks by one forward pass; the
other form updates the discriminator first, and then the generator with new fakes, each with an Adam
of its own. Both train on a part of the unfractured class of a training fold and are judged by the
rest of it. TensorFlow only. Writes `benchmarks/results/alternating.json`.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import keras

import synthray as sr
from generators import Clock, load, one_thread
from records import record, write

RESULTS = Path(__file__).resolve().parent / "results"
CLASS = "not fractured"
FORMS = ("one pass", "in turns")


class InTurns(sr.R3GAN):
    """`R3GAN` that updates its networks one after the other."""

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        super().compile(optimizer, **kwargs)
        self.critic_optimizer = self.default_optimizer()
        self.critic_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.critic_optimizer.learning_rate.assign(self.optimizer.learning_rate)
        critic = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            logits = self(images, training=True)
            loss = tf.reduce_mean(self.losses_from_logits(logits)[0])
            loss += 0.5 * self.gamma * tf.reduce_mean(logits["penalty"])
        self.critic_optimizer.apply(tape.gradient(loss, critic), critic)
        drawing = self.generator.trainable_variables
        with tf.GradientTape() as tape:
            logits = self(images, training=False)  # counts nothing a second time
            own = tf.reduce_mean(self.losses_from_logits(logits)[1])
        self.optimizer.apply(tape.gradient(own, drawing), drawing)
        return {"loss": loss + own}


def run(form: str, seed: int, data: Path, epochs: int, core: int) -> dict[str, Any]:
    """Train and judge one model."""
    os.sched_setaffinity(0, {core})
    one_thread()
    train, _ = next(load("fracatlas", data).folds(5, seed=0))
    inner, rest = (part.by_class()[CLASS] for part in next(train.folds(5, seed=1)))
    make = sr.R3GAN if form == "one pass" else InTurns
    gan = make(inner.image_shape, seed=seed, dtype="mixed_bfloat16")
    gan.compile()
    clock = Clock()
    gan.fit(inner, epochs=epochs, verbose=0, guard=False, callbacks=[clock])
    report = sr.evaluate_samples(inner, gan.sample(2000, seed=seed), rest, copies=False)
    drawn = report.to_dict()["scores"]["drawn"]
    print(f"{form}, seed {seed}: KID {drawn['kid']:.3f}, coverage {drawn['coverage']:.2f}")
    return {"form": form, "seed": seed, "images_seen": clock.steps * 32, "drawn": drawn} | {
        "minutes": clock.spent / 60
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, a core each")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    # The longer form first, so that no core waits long.
    work = [(form, seed) for form in reversed(FORMS) for seed in range(args.seeds)]
    print(f"{len(work)} runs, about {len(work) * 5 / args.jobs:.0f} minutes.", flush=True)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(args.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        jobs = [
            pool.submit(run, form, seed, args.data, args.epochs, cores[number % len(cores)])
            for number, (form, seed) in enumerate(work)
        ]
        runs = [job.result() for job in jobs]
    values = {"runs": runs, "class": CLASS, "epochs": args.epochs}
    write(RESULTS / "alternating.json", record("benchmarks/alternating.py", values))


if __name__ == "__main__":
    main()
