"""Digests of settings: equal where a stored result may be used again, in any process."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import keras
import numpy as np

_DEPTH = 20
_HIDDEN = ("__", "_api_export")  # attributes of classes that Python and Keras make


def digest(value: Any) -> str:
    """Return the SHA-256 of a value: of what it holds, never of where it lies in memory.

    An object counts by what its method `__digest__()` returns, a function by its compiled code,
    defaults and closed-over values (not by the global names it looks up), a class by its methods,
    objects with `get_config` (those of Keras) by their configuration, others by their attributes.

    Raises:
        TypeError: If a part of it cannot be told from another of its kind.
    """
    text = json.dumps(_describe(value), sort_keys=True, ensure_ascii=False)
    return _sha(text.encode("utf-8"))


def plan_digest(model: Any) -> str:
    """Return the digest of all of a compiled model but its values: layers, loss, optimizer.

    Seeds of layers do not count: they make values alone.

    Raises:
        NotImplementedError: If it is of a class that cannot be saved.
        TypeError: If its loss or metrics cannot be told from others.
    """
    layers = {"module": type(model).__module__, "config": model.get_config()}
    optimizer = keras.saving.serialize_keras_object(model.optimizer)
    settings = _portable([layers, optimizer, model.get_compile_config()], {})
    how = model.loss, model.steps_per_execution, model.jit_compile, model.run_eagerly
    return digest([type(model), settings, how])


def model_digest(model: Any, make: Any) -> str:
    """Return the digest of a compiled classifier, its weights and the function that makes it."""
    try:
        plan = plan_digest(model)
    except NotImplementedError:  # a subclass that cannot be saved
        plan = type(model).__qualname__
    weights = [np.asarray(keras.ops.convert_to_numpy(v.value)) for v in model.variables]
    return digest([plan, weights, make])


def augmentation_digest(transform: Any) -> str:
    """Return the digest of an augmentation; seeds of its layers do not count, none is used."""
    if isinstance(transform, keras.Layer):
        return config_digest(keras.saving.serialize_keras_object(transform))
    return digest(transform)


def config_digest(config: Any) -> str:
    """Return the digest of a Keras configuration but for names, and seeds of random numbers."""
    return digest(_portable(config, {}))


def _describe(value: Any, depth: int = 0) -> Any:
    """Return values for JSON that differ where the settings do."""
    if depth > _DEPTH:
        raise TypeError(f"A setting of {type(value).__name__} is nested too deeply to be compared.")
    inner = functools.partial(_describe, depth=depth + 1)
    if isinstance(value, np.integer | np.bool_):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype == object:  # whose bytes are addresses
            return ["array", "O", list(value.shape), inner(value.tolist())]
        array = np.ascontiguousarray(value)
        return ["array", array.dtype.str, list(array.shape), _sha(array.tobytes())]
    if isinstance(value, Mapping):
        return ["dict", [[inner(k), inner(v)] for k, v in value.items()]]
    if isinstance(value, set | frozenset):
        return ["set", sorted(json.dumps(inner(v)) for v in value)]
    if isinstance(value, list | tuple | range):
        return ["list", [inner(v) for v in value]]
    if isinstance(value, bytes | Enum | PurePath | np.dtype):
        return [type(value).__qualname__, str(value)]
    return _describe_object(value, inner)


def _describe_object(value: Any, inner: Any) -> Any:
    if isinstance(value, functools.partial):
        return ["partial", inner(value.func), inner(value.args), inner(value.keywords)]
    if isinstance(value, types.MethodType):
        return ["method", inner(value.__func__), inner(value.__self__)]
    if isinstance(value, types.BuiltinFunctionType):
        return ["builtin", value.__qualname__]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        values = (value.__defaults__, value.__kwdefaults__, cells)
        return ["function", value.__qualname__, _code(value.__code__), *map(inner, values)]
    if isinstance(value, type):
        parts: list[Any] = ["class", value.__module__, value.__qualname__]
        for name, member in vars(value).items():
            own = inspect.unwrap(getattr(member, "__func__", getattr(member, "fget", member)))
            if isinstance(own, types.FunctionType):
                parts.append([name, _code(own.__code__)])
            elif isinstance(own, bool | int | float | str | tuple) and not name.startswith(_HIDDEN):
                parts.append([name, inner(own)])
        return parts
    kind = [type(value).__module__, type(value).__qualname__]
    if hasattr(value, "__digest__"):
        return ["own", *kind, inner(value.__digest__())]
    if hasattr(value, "get_config"):
        return ["configured", *kind, inner(_portable(value.get_config(), {}))]
    if hasattr(value, "__dict__"):
        return ["object", *kind, inner(vars(value))]
    raise TypeError(
        f"workdir= keeps results apart by their settings, and cannot compare a setting of type "
        f"{type(value).__name__}. Use plain values, functions, arrays or Keras objects, or give "
        "the class a method __digest__() that returns what counts of it."
    )


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code(code: types.CodeType) -> list[Any]:
    found: list[Any] = [_sha(code.co_code), list(code.co_names)]
    for each in code.co_consts:
        plain = sorted(each, key=repr) if isinstance(each, frozenset) else each
        found.append(_code(each) if isinstance(each, types.CodeType) else repr(plain))
    return found


def _portable(config: Any, order: dict[str, str]) -> Any:
    """Return a configuration without names and seeds.

    Names, which Keras counts up within a process, become their order of appearance. Seeds of
    classes of Keras and of this library go: they make values alone.
    """
    if isinstance(config, list | tuple):
        return [_portable(each, order) for each in config]
    if not isinstance(config, Mapping):
        return order.get(config, config) if isinstance(config, str) else config
    if str(config.get("class_name")).endswith("DTypePolicy"):  # its name is all it has
        return config
    if isinstance(config.get("name"), str):
        order.setdefault(config["name"], f"#{len(order)}")
    found = {k: _portable(v, order) for k, v in config.items() if k != "build_config"}
    places = [str(config.get(key) or "") for key in ("module", "registered_name")]
    if isinstance(found.get("config"), dict) and any(
        place.startswith(("keras", "synthray")) for place in places
    ):
        found["config"].pop("seed", None)
    return found
