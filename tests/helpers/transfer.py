"""A classifier on a backbone that takes a blink, and a count of what passes through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers
from numpy.typing import NDArray

import synthray as sr
from synthray._keras.backend import predictor
from synthray.classifiers import feature_cache, transfer_classifier

SHAPE = (32, 32, 1)


def edges(channels: int = 1, seed: int = 0) -> keras.Model:
    """A backbone in a blink: edges of any direction, at two scales."""
    start = keras.initializers.GlorotUniform(seed)
    conv: dict[str, Any] = {"activation": "relu", "kernel_initializer": start, "padding": "same"}
    images = keras.Input((None, None, channels))
    fine = layers.Conv2D(8, 3, 2, **conv)(layers.Rescaling(1 / 255)(images))
    normal = layers.BatchNormalization()(fine)
    coarse = layers.Conv2D(8, 3, 2, **conv)(normal)
    return keras.Model(images, [fine, layers.Conv2D(8, 1, **conv)(coarse)])


def small(**arguments: Any) -> sr.TransferClassifier:
    usual = {"image_shape": SHAPE, "backbone": edges(), "size": 32, "seed": 0}
    return sr.TransferClassifier(**{**usual, **arguments})


def count_passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many images will have passed through backbones for features, call by call."""
    counts: list[int] = []

    def counting(model: Any) -> Callable[[NDArray[Any]], Any]:
        run = predictor(model)

        def call(batch: NDArray[Any]) -> Any:
            counts.append(int(batch.any(axis=(1, 2, 3)).sum()))  # the rest is filled up with zeros
            return run(batch)

        return call

    monkeypatch.setattr(transfer_classifier, "predictor", counting)
    monkeypatch.setattr(feature_cache, "_rows", {})
    return counts
