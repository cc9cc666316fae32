"""`ImageFeatures` on radiographs of 64 pixels, at its working size of 128, against plain Keras.

A round is the seconds of the features of `--images` phantoms, resizing included. The peer is
`predict` of the same network in Keras, on float32 images of 128 pixels. Checks first that both give
the same features. One call of each before the first round compiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import synthray as sr
from benchmarks.rows import timing

QUICK = {"images": 64}
SIZE = 128


def plain(role: Any) -> Any:
    """Return Keras' own model from scaled images to the same vectors."""
    import keras

    backbone = sr.load_backbone(role)
    maps = [backbone.output[name] for name in ("stride_16", "stride_32")]
    vectors = [keras.layers.GlobalAveragePooling2D()(each) for each in maps]
    return keras.Model(backbone.input, keras.layers.Concatenate()(vectors))


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--images", type=int, default=512)
    options.add_argument("--role", choices=("learning", "judging"), default="learning")
    args = timing.parsed(options, arguments, QUICK)
    data = sr.make_phantoms(args.images, image_shape=(64, 64, 1), seed=args.seed)
    enlarged = sr.make_phantoms(args.images, image_shape=(SIZE, SIZE, 3), seed=args.seed).images
    scaled = (enlarged.astype(np.float32) - 127) / 128
    features, model = sr.ImageFeatures(args.role, size=SIZE), plain(args.role)

    def peer(images: Any) -> Any:
        return model.predict(images, batch_size=64, verbose=0)

    apart = float(np.abs(features(enlarged[:64]) - peer(scaled[:64])).max())
    if not apart < 1e-3:
        raise RuntimeError(f"features differ by {apart}")
    work = {
        "ours": timing.timed(lambda: features(data.images)),
        "plain": timing.timed(lambda: peer(scaled)),
    }
    for each in work.values():
        each()
    seconds = timing.take_turns(work, args.rounds)
    rates = timing.spread(args.images / each for each in seconds["ours"])
    print(f"{features.describe()}: {timing.as_text(rates)} images a second")
    values = {
        "ratios": timing.times_as_fast(seconds),
        "seconds": seconds,
        "images_a_second": rates,
        "features": features.describe(),
        "agreement": {"largest_difference": {"plain": apart}},
    }
    name = "features" if args.role == "learning" else "features_judging"
    timing.keep(args, "backbone_features", f"speed/{name}", values)


if __name__ == "__main__":
    timing.run(main)
