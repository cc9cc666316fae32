"""Seconds."""

from __future__ import annotations

from benchmarks.tables.markdown import RESULTS, Values, interval, load, table

# Speed.

STEP = "training step of the exact `DCGAN`"
PROJECTED = "training step of `ProjectedGAN`"
FIT = "fit of `FractureClassifier`"
BEST = "torch, bfloat16, `torch.compile`"
SLOWER = ("augmenting", "importing")  # their ratios are of our seconds over the peer's
FOLDER = "image_dataset_from_directory"


def both(work: str, peer: str, file: str, key: str) -> list[tuple[str, str, str, str]]:
    """Return the lines of a peer in Keras, with XLA and without."""
    return [(work, peer, file, key), (work, f"{peer}, no XLA", file, f"{key}_no_xla")]


LINES = (
    *both(STEP, "two-tape Keras step", "dcgan_step", "two_tape"),
    (STEP, "torch, float32", "dcgan_step", "torch"),
    (STEP, "torch, channels last, bfloat16 if it has it", "dcgan_step", "torch_best"),
    *both(f"{STEP}, bfloat16", "two-tape Keras step", "dcgan_step_bf16", "two_tape"),
    (PROJECTED, "torch, float32", "projected_step", "torch"),
    (PROJECTED, "torch, channels last", "projected_step", "torch_channels_last"),
    (f"{PROJECTED}, bfloat16", "torch, channels last", "projected_step", "torch_bfloat16"),
    *both(FIT, "plain `fit`", "classifier_fit", "plain"),
    *both(f"{FIT}, 50 images", "plain `fit`", "classifier_few", "plain"),
    *both("comparison of 6 arms x 5 seeds", "30 plain `fit` calls", "comparison_fits", "plain"),
    *(
        (f"load `{name}` to 64x64", f"`{FOLDER}`", f"loading_{name}", FOLDER)
        for name in ("bone-fracture-160", "bone-fracture-originals")
    ),
    *(
        (f"`augment` before a `tf.data` pipeline, a {key}", "a cached array", "augmenting", key)
        for key in ("pass", "fit")
    ),
    ("features by the learning backbone", "plain `predict`", "features", "plain"),
    ("features by the judging backbone", "plain `predict`", "features_judging", "plain"),
    ("`import synthray`", "`import keras`", "importing", "keras"),
    (f"{STEP}, GPU, JAX", BEST, "gpu_step_jax", "DCGAN, torch"),
    (f"{STEP}, GPU, Keras on torch", BEST, "gpu_step_torch", "DCGAN, torch"),
)  # work, peer, name of the record, and of the ratio there


def speed() -> str:
    """All rows of speed that were measured."""
    paths = sorted((RESULTS / "speed").glob("*.json"))
    raw = {path.stem: load(f"speed/{path.name}") for path in paths}
    raw = {name: each for name, each in raw.items() if not each["values"].get("quick")}
    rows = []
    for work, peer, name, key in LINES:
        ratio = raw[name]["values"]["ratios"].get(key) if name in raw else None
        if ratio is not None:
            if name in SLOWER:
                ends = {"low": "high", "median": "median", "high": "low"}
                ratio = {end: 1 / ratio[other] for end, other in ends.items()}
            rows.append([work, peer, interval(ratio, digits=2)])
    notes = []
    for name in ("features", "features_judging"):
        if name in raw:
            v = raw[name]["values"]
            told = f"{v['images_a_second']['median']:.0f} images a second"
            notes.append(
                f"- {v['features']}: {told} on 2 cores of {raw[name]['machine']['processor']}."
            )
    for name in ("gpu_step_jax", "gpu_step_torch"):
        if name in raw:
            v = raw[name]["values"]
            trained = ", ".join(
                f"`{gan}` {rate['median']:,.0f}" for gan, rate in v["images_a_second"].items()
            )
            notes.append(
                f"- {raw[name]['machine']['gpu']}, Keras on {raw[name]['versions']['backend']}, "
                f"`{v['dtype']}`, batch {v['batch_size']}: images a second in training {trained}."
            )
    files = {name for _, _, name, _ in LINES if "gpu" not in name}
    machines = dict.fromkeys(machine(each) for name, each in raw.items() if name in files)
    notes.append(f"- All other rows: {'; '.join(machines)}.")
    return table(
        ("work", "compared with", "times as fast: median [lowest, highest]"), rows, "\n".join(notes)
    )


def machine(raw: Values) -> str:
    cores, versions = raw["machine"].get("cores"), raw["versions"]
    backend = versions["backend"]
    return (
        f"{cores} core{'s' * (cores != 1)} of {raw['machine']['processor']}, Keras "
        f"{versions['keras']} on {backend} {versions.get(backend, '')}".rstrip()
    )


def pieces() -> str:
    """What each optimisation on trial brings."""
    raw = load("pieces.json")
    heads = ("piece", "measured on", "with oneDNN", "without oneDNN", "kept")
    rows = [
        [
            found["piece"],
            found["row"],
            *(interval(found[key] or {}, digits=2) for key in ("onednn", "no_onednn")),
            {True: "yes", False: "no", None: ""}[found["kept"]],
        ]
        for found in raw["values"]["pieces"]
    ]
    return table(
        heads,
        rows,
        f"Seconds without the piece over seconds with it: median [lowest, highest] of "
        f"{raw['values']['rounds']} paired rounds, {raw['machine']['processor']}, "
        f"{raw['machine']['cores']} cores; those of GANs were shared with other work. "
        f"{raw['values']['rule']} To measure it again, check out {raw['commit']}.",
    )
