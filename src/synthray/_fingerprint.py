"""Digests of settings: equal where a stored fit may be used again, in any process."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import time
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import keras
import numpy as np

from synthray.datasets.image_dataset import ImageDataset

_DEPTH = 12
_ATTEMPTS = 20


def digest(value: Any) -> str:
    """Return the SHA-256 of a value: of what it holds, never of where it lies in memory.

    Functions count by their compiled code, defaults and closed-over values (not by the global
    names they look up), Keras objects and others with `get_config` by their configuration, all
    other objects by their attributes.

    Raises:
        TypeError: If a part of it cannot be told from another of its kind.
    """
    text = json.dumps(describe(value), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def describe(value: Any, depth: int = 0) -> Any:
    """Return JSON-ready values that differ where the settings do."""
    if depth > _DEPTH:
        raise TypeError(f"A setting of {type(value).__name__} is nested too deeply to be compared.")
    inner = functools.partial(describe, depth=depth + 1)
    if value is None or isinstance(value, bool | int | float | str):
        return value if not isinstance(value, float) else value.hex()
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype == object:  # whose bytes are addresses
            return ["array", "O", list(value.shape), inner(value.tolist())]
        array = np.ascontiguousarray(value)
        return ["array", array.dtype.str, list(array.shape), _sha(array.tobytes())]
    if isinstance(value, ImageDataset):
        columns = value.images, value.labels, *([value.annotations] if value.annotations else ())
        return ["images", list(value.class_names), *map(inner, columns)]
    if isinstance(value, Mapping):
        return ["dict", [[inner(k), inner(v)] for k, v in value.items()]]
    if isinstance(value, set | frozenset):
        return ["set", sorted(json.dumps(inner(v)) for v in value)]
    if isinstance(value, list | tuple | range):
        return ["list", [inner(v) for v in value]]
    if isinstance(value, Enum | PurePath | np.dtype):
        return [type(value).__qualname__, str(value)]
    return _describe_object(value, inner)


def model_digest(model: Any, make: Any) -> str:
    """Return the digest of a compiled classifier: layers, weights, loss, optimizer, its maker."""
    try:
        # Seeds count by the weights and the states of generators that they made: a model that is
        # given another's values keeps its own.
        plan = compiled_digest(model, seeds=False)
    except NotImplementedError:  # a subclass that cannot be saved
        plan = type(model).__qualname__
    weights = [np.asarray(keras.ops.convert_to_numpy(v.value)) for v in model.variables]
    return digest([plan, weights, make])


def compiled_digest(model: Any, *, seeds: bool = True) -> str:
    """Return the digest of all of a compiled model but its values.

    Args:
        model: The model.
        seeds: Whether seeds of Keras' layers and ours count: those make values alone.

    Raises:
        NotImplementedError: If it is of a class that cannot be saved.
        TypeError: If its loss or metrics cannot be told from others.
    """
    optimizer = keras.saving.serialize_keras_object(model.optimizer)
    compiled = model.get_compile_config() or {}
    shapes = [(tuple(v.shape), str(v.dtype)) for v in model.variables]
    config = model.get_config()
    if not seeds:
        own = {"module": type(model).__module__, "registered_name": None, "config": config}
        config = _without_known_seeds(own)
    return digest(
        [
            type(model),
            _anonymous([config, optimizer, compiled]),
            shapes,
            (model.loss, model.steps_per_execution, model.jit_compile, model.run_eagerly),
        ]
    )


def augmentation_digest(transform: Any) -> str:
    """Return the digest of an augmentation; seeds of its layers do not count, none is used."""
    if isinstance(transform, keras.Layer):
        return digest(_seedless(_anonymous(keras.saving.serialize_keras_object(transform))))
    return digest(transform)


def _describe_object(value: Any, inner: Any) -> Any:
    if isinstance(value, functools.partial):
        return ["partial", inner(value.func), inner(value.args), inner(value.keywords)]
    if isinstance(value, types.MethodType):
        return ["method", inner(value.__func__), inner(value.__self__)]
    if isinstance(value, types.BuiltinFunctionType):
        return ["builtin", value.__qualname__]
    if isinstance(value, type):
        return ["class", value.__module__, value.__qualname__, _source(value)]
    if isinstance(value, types.FunctionType):
        cells = [_cell(cell) for cell in value.__closure__ or ()]
        parts = (value.__defaults__, value.__kwdefaults__, cells)
        return ["function", value.__qualname__, _code(value.__code__), *map(inner, parts)]
    if isinstance(value, keras.Layer | keras.losses.Loss | keras.optimizers.Optimizer):
        config = keras.saving.serialize_keras_object(value)
        return ["keras", inner(_anonymous(config))]
    kind = type(value)
    if hasattr(value, "get_config"):
        config = inner(_anonymous(value.get_config()))
        return ["configured", kind.__module__, kind.__qualname__, config]
    if hasattr(value, "__dict__"):
        return ["object", kind.__module__, kind.__qualname__, inner(vars(value))]
    raise TypeError(
        f"workdir= keeps fits apart by their settings, and cannot compare a setting of type "
        f"{type(value).__name__}. Use plain values, functions, arrays or Keras objects."
    )


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code(code: types.CodeType) -> list[Any]:
    constants = [
        _code(c)
        if isinstance(c, types.CodeType)
        else repr(sorted(c, key=repr))
        if isinstance(c, frozenset)
        else repr(c)
        for c in code.co_consts
    ]
    return [_sha(code.co_code), list(code.co_names), constants]


@functools.lru_cache(maxsize=256)
def _source(kind: type) -> str | None:
    for attempt in range(_ATTEMPTS):
        try:
            return _sha(inspect.getsource(kind).encode("utf-8"))
        except (OSError, TypeError):  # defined at a prompt, or in C
            return None
        except SystemError:  # Python 3.11 may not parse in two threads at once: gh-106905
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.01 * attempt)
    return None


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _anonymous(config: Any) -> Any:
    """Replace names, which count up within a process, by their order of appearance."""
    order: dict[str, str] = {}

    def collect(value: Any) -> None:
        if isinstance(value, Mapping):
            if isinstance(value.get("name"), str):
                order.setdefault(value["name"], f"#{len(order)}")
            for part in value.values():
                collect(part)
        elif isinstance(value, list | tuple):
            for part in value:
                collect(part)

    def replaced(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: replaced(v) for k, v in value.items() if k != "build_config"}
        if isinstance(value, list | tuple):
            return [replaced(v) for v in value]
        return order.get(value, value) if isinstance(value, str) else value

    collect(config)
    return replaced(config)


def _seedless(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {k: _seedless(v) for k, v in config.items() if k != "seed"}
    return [_seedless(v) for v in config] if isinstance(config, list | tuple) else config


def _without_known_seeds(config: Any) -> Any:
    """Return a configuration without the seeds of classes that draw nothing but values by them."""
    if isinstance(config, list | tuple):
        return [_without_known_seeds(each) for each in config]
    if not isinstance(config, Mapping):
        return config
    found = {name: _without_known_seeds(value) for name, value in config.items()}
    inner = found.get("config")
    places = [str(found.get(name) or "") for name in ("module", "registered_name")]
    if isinstance(inner, dict) and any(p.startswith(("keras.", "synthray")) for p in places):
        found["config"] = {name: value for name, value in inner.items() if name != "seed"}
    return found
