"""Three ordinary Keras scripts, each with one new line: `python examples/plug_into_keras.py`.

The new line is marked. It is the same for arrays, for `image_dataset_from_directory` with
preprocessing layers, and for a `PyDataset`.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from PIL import Image

import synthray as sr


def small_model(size: int, *preprocessing: keras.Layer, outputs: int = 1) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((size, size, 1)),
            *preprocessing,
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax"),
        ]
    )


def with_arrays(data: sr.ImageDataset, augmenter: sr.SyntheticAugmenter, epochs: int) -> Any:
    """Float arrays from 0 to 1 and one-hot labels, as in Keras' MNIST guide."""
    x_train = data.images.astype("float32") / 255
    y_train = keras.utils.to_categorical(data.labels, 2)

    x_train, y_train = augmenter.augment((x_train, y_train))  # <- the new line

    model = small_model(x_train.shape[1], outputs=2)
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model.fit(x_train, y_train, batch_size=32, epochs=epochs, verbose=0)


def with_image_folder(folder: Path, augmenter: sr.SyntheticAugmenter, epochs: int) -> Any:
    """`image_dataset_from_directory` with preprocessing layers, as in Keras' image guides."""
    size = augmenter.image_shape_[0]
    train_ds = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), color_mode="grayscale", batch_size=32, verbose=False
    )

    train_ds = augmenter.augment(train_ds)  # <- the new line

    model = small_model(size, layers.Rescaling(1 / 255), layers.RandomRotation(0.02))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model.fit(train_ds, epochs=epochs, verbose=0)


class Batches(keras.utils.PyDataset):
    """A user's own batches, scaled to -1 to 1."""

    def __init__(self, data: sr.ImageDataset) -> None:
        super().__init__()
        self.data = data

    def __len__(self) -> int:
        return -(-len(self.data) // 32)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(index * 32, index * 32 + 32)
        return self.data.images[rows].astype("float32") / 127.5 - 1, self.data.labels[rows]


def with_py_dataset(data: sr.ImageDataset, augmenter: sr.SyntheticAugmenter, epochs: int) -> Any:
    """A `PyDataset`, for data that do not fit in memory."""
    batches: keras.utils.PyDataset = Batches(data)

    batches = augmenter.augment(batches)  # <- the new line

    model = small_model(data.image_shape[0])
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model.fit(batches, epochs=epochs, verbose=0)


def write_folder(data: sr.ImageDataset, folder: Path) -> None:
    for i, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        path = folder / data.class_names[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", type=int, default=32, help="height and width in pixels")
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args(arguments)

    data = sr.make_phantoms(args.images, image_shape=(args.size, args.size, 1), seed=0)
    with tempfile.TemporaryDirectory() as folder:
        # Keras sorts class folders by name; so does load_image_folder.
        write_folder(data, Path(folder))
        data = sr.load_image_folder(folder, image_shape=data.image_shape, progress=False)
        small = functools.partial(sr.DCGAN, width=0.25)
        augmenter = sr.SyntheticAugmenter(small, epochs=5, random_state=0).fit(data, verbose=0)
        histories = {
            "arrays": with_arrays(data, augmenter, args.epochs),
            "image folder": with_image_folder(Path(folder), augmenter, args.epochs),
            "PyDataset": with_py_dataset(data, augmenter, args.epochs),
        }
    for name, history in histories.items():
        print(f"{name:13} training accuracy {history.history['accuracy'][-1]:.3f}")
    return histories


if __name__ == "__main__":
    main()
