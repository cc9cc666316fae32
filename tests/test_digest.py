from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.toys import bars
from synthray._digest import augmentation_digest, digest, model_digest
from synthray.augmentation.classic import classic_augmentation
from synthray.classifiers.fracture_classifier import FractureClassifier


class Colour(Enum):
    RED = 1
    BLUE = 2


class Setting:
    def __init__(self, value: Any) -> None:
        self.value = value

    def method(self) -> Any:
        return self.value


class Own:
    """Says itself what counts of it."""

    def __init__(self, kept: Any, left_out: Any = None) -> None:
        self.kept = kept
        self.left_out = left_out

    def __digest__(self) -> Any:
        return self.kept


class Loud:
    """Differs from `quiet` in a number alone."""

    level = 1

    @property
    def sound(self) -> int:
        return 3


def quiet() -> Any:
    class Loud:
        level = 0

        @property
        def sound(self) -> int:
            return 3

    Loud.__qualname__ = "Loud"
    return Loud


def brighter(images: Any, by: float = 2.0, *, limit: int = 255) -> Any:
    return np.minimum(images * by, limit)


def closure(value: Any) -> Callable[[], Any]:
    def inner() -> Any:
        return value

    return inner


def default(value: Any) -> Callable[..., Any]:
    def inner(x: Any = value) -> Any:
        return x

    return inner


def keyword(value: Any) -> Callable[..., Any]:
    def inner(*, x: Any = value) -> Any:
        return x

    return inner


def model(units: int = 3, *, rate: float = 1e-3, dropout: float = 0.1, seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dropout(dropout, seed=1)]
    made = keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])
    made.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return made


def examples() -> list[Any]:
    """Settings of all kinds, no two of them equal."""
    array = np.arange(6, dtype="int64")
    return [
        *(None, True, 0, 1.5, "a", b"a", "1.5", 3, (1, 2), (2, 1), (1, (2,)), {1, 2}, range(3)),
        *({"a": 1}, {"a": 2}, {"b": 1}, {1: "a"}, Colour.RED, Colour.BLUE, np.dtype("int8")),
        *(array, array.astype("int32"), array.reshape(2, 3), array + 1, np.float32(1.5)),
        *(Path("a"), PurePosixPath("b")),
        *(bars(4), bars(4, seed=1), bars(6), bars(4).select([1, 0, 2, 3])),
        *(brighter, functools.partial(brighter, by=3.0), functools.partial(brighter, by=4.0)),
        *(functools.partial(brighter, 3.0), np.sort, len, sorted, Setting, Colour),
        *(lambda x: x + 1, lambda x: x + 2, lambda x: x - 1, lambda x: abs(x), lambda x: len(x)),
        *(Own(1), Own(2), Own([1]), Loud, quiet(), sr.SyntheticAugmenter(), sr.SyntheticAugmenter),
        *(Setting(1), Setting(2), Setting([1]), Setting(1).method, Setting(2).method),
        *(make(value) for make in (closure, default, keyword) for value in (1, 2, array)),
        *(keras.layers.Dense(2), keras.layers.Dense(3), keras.layers.Dense(2, "relu")),
        *(keras.layers.Dense(2, dtype="float16"), keras.layers.Dense(2, dtype="mixed_float16")),
        *(keras.losses.MeanSquaredError(), keras.losses.BinaryCrossentropy(label_smoothing=0.1)),
        *(keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.2), keras.optimizers.SGD(0.1)),
    ]


def all_digests() -> list[str]:
    found = [digest(value) for value in examples()]
    transforms = [classic_augmentation(seed=0), classic_augmentation(rotation=5, seed=0)]
    found += [augmentation_digest(transform) for transform in transforms]
    assert augmentation_digest(brighter) in found  # a function is a function
    settings: list[dict[str, Any]] = [
        {},
        {"units": 4},
        {"rate": 0.1},
        {"dropout": 0.2},
        {"seed": 1},
    ]
    makers = [functools.partial(model, **each) for each in settings]
    return [*found, *(model_digest(make(), model) for make in makers)]


def test_equal_for_equal_settings_and_different_for_others() -> None:
    ours = all_digests()
    assert len(set(ours)) == len(ours)
    assert all_digests() == ours  # objects made anew; Keras counts up their names


@pytest.mark.slow
def test_equal_in_any_process() -> None:
    script = f"import {__name__} as t; print('found', *t.all_digests())"
    folders = Path(__file__).parents[1], Path(__file__).parent
    paths = os.pathsep.join([*map(str, folders), *sys.path])
    command = [sys.executable, "-c", script]
    # Both are others: the measure of coverage changes the code of this one.
    started = [
        subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("0", "7")
    ]
    one, other = (each.communicate(timeout=300)[0].split("found ")[1] for each in started)
    assert one == other


def test_names_and_places_in_memory_do_not_count() -> None:
    named = [keras.layers.Dense(2, name=name) for name in ("one", "two")]
    assert digest(named[0]) == digest(named[1]) == digest(keras.layers.Dense(2))
    assert digest(Setting(Setting([1]))) == digest(Setting(Setting([1])))
    assert digest({1, 2, 30, "a"}) == digest({"a", 30, 2, 1})
    assert digest([1, 2]) == digest((1, 2))
    assert digest(np.int64(3)) == digest(3)
    assert digest(Own(1, left_out=2)) == digest(Own(1))
    # Seeds of augmentation layers are not used: seed and step of a fit determine the numbers.
    seeded = [augmentation_digest(classic_augmentation(seed=seed)) for seed in (1, 2)]
    assert seeded[0] == seeded[1]
    assert model_digest(model(), model) == model_digest(model(), model)


def test_provenance_of_images_does_not_count_but_their_pixels_do() -> None:
    data = bars(6)
    assert digest(data.with_groups(None)) == digest(data)
    images = data.images.copy()
    images[3, 2, 2, 0] ^= 1
    changed = type(data).from_arrays(images, data.labels, class_names=data.class_names)
    assert digest(changed) != digest(data)
    data = data.with_groups(None)
    soft = [replace(data, annotations={"soft_labels": np.full((6, 2), x)}) for x in (0.5, 0.4)]
    assert len({digest(each) for each in (data, *soft)}) == 3  # they are trained on
    views = [np.array(words, dtype=object) for words in (["ap"] * 6, ["ap"] * 6, ["pa"] * 6)]
    for column in views:
        column[0] = "".join(["a", column[0][-1]])  # a string of its own, at its own address
    seen = [digest(replace(data, annotations={"view": column})) for column in views]
    assert seen[0] == seen[1] != seen[2]
    assert digest(replace(soft[1], annotations=dict(soft[0].annotations))) == digest(soft[0])


def test_weights_of_a_classifier_count() -> None:
    one, other = model(), model()
    other.layers[0].bias.assign([0.0, 0.0, 1e-6])
    assert model_digest(one, model) != model_digest(other, model)
    assert model_digest(one, model) != model_digest(one, examples)


def test_models_that_cannot_be_saved_count_by_weights_and_maker() -> None:
    class Own(keras.Model):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = scale
            self.out = keras.layers.Dense(1, "sigmoid", kernel_initializer="ones")

        def call(self, x: Any) -> Any:
            return self.out(x * self.scale)

        def get_config(self) -> Any:
            raise NotImplementedError("no configuration")

    found = []
    for scale in (1.0, 1.0, 2.0):
        made = Own(scale)
        made(np.zeros((1, 4), "float32"))
        made.compile("sgd", "binary_crossentropy")
        found.append(model_digest(made, closure(scale)))
    assert found[0] == found[1] != found[2]


def test_what_cannot_be_compared_is_said() -> None:
    for value in (threading.Lock(), iter([1]), closure(threading.Lock()), Setting(iter([1]))):
        with pytest.raises(TypeError, match=r"cannot compare a setting of type \w+\. Use plain"):
            digest(value)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError, match=r"list is nested too deeply"):
        digest(loop)


@keras.saving.register_keras_serializable(package="tests")
class Mask(keras.layers.Layer):
    """A layer whose seed is more than the start of its random numbers."""

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def call(self, inputs: Any) -> Any:
        return inputs * float(self.seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def test_seeds_of_known_layers_make_values_alone() -> None:
    def plan(model: Any) -> str:
        """A digest of a model whose values are those of any other."""
        model.compile("adam", "binary_crossentropy")
        for variable in model.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        return model_digest(model, None)

    def network(**options: Any) -> str:
        return plan(FractureClassifier(image_shape=(32, 32, 1), **options))

    def own(seed: int, dropout: float, *more: Any) -> str:
        layers = [keras.Input((4,)), keras.layers.Dropout(dropout, seed=seed), *more]
        return plan(keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")]))

    assert network(seed=0) == network(seed=1) != network(seed=0, dropout=(0.4, 0.5))
    assert own(0, 0.3) == own(1, 0.3) != own(1, 0.4)
    assert own(0, 0.3, Mask(1)) != own(0, 0.3, Mask(2))
