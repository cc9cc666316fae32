"""Models whose training a seed determines, across saving and reloading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from synthray._keras import backend


class SeededModel(keras.Model):
    """A `keras.Model` whose file holds the states of its random generators.

    Keras leaves the seeds of dropout (and of anything else that draws numbers) out of its files;
    with them, a reloaded model trains on with the numbers it would have had. The file says how the
    user asked for steps to be compiled, so that each backend decides anew what was left to it.
    """

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile, and remember what the user asked for: `"auto"` and defaults are decided here."""
        self._asked = {name: kwargs.get(name) for name in ("jit_compile", "steps_per_execution")}
        kwargs["jit_compile"] = backend.resolve_jit_compile(kwargs.get("jit_compile", "auto"))
        kwargs.setdefault("steps_per_execution", self._default_steps())
        super().compile(*args, **kwargs)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train; the stock Keras `fit`."""
        backend.suggest_onednn(kwargs.get("verbose", "auto"))
        return super().fit(*args, **kwargs)

    def _default_steps(self) -> int:
        return 1

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of `compile`, as the user gave what a backend decides."""
        config: dict[str, Any] = super().get_compile_config()
        if not config:
            return config
        asked = getattr(self, "_asked", {})  # not of a subclass that compiles in its own way
        given = {name: value for name, value in asked.items() if value is not None}
        return {k: v for k, v in config.items() if k not in asked} | given

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a reloaded model as it was, optimizer variables included."""
        config = keras.saving.deserialize_keras_object(config)
        if "steps_per_execution" in config:
            config["steps_per_execution"] = backend.steps_at_once(config["steps_per_execution"])
        self.compile(**config)
        backend.build_optimizer(self)

    def save_own_variables(self, store: Any) -> None:
        """Save its own weights, and the states of the random generators, which Keras leaves out."""
        for name, variable in self._named_variables():
            store[name] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved."""
        for name, variable in self._named_variables():
            variable.assign(store[name])

    def _named_variables(self) -> Iterator[tuple[str, Any]]:
        own = [*self._trainable_variables, *self._non_trainable_variables]
        for kind, variables in (("own", own), ("seed", self._seed_variables())):
            yield from ((f"{kind}{i}", variable) for i, variable in enumerate(variables))

    def _seed_variables(self) -> list[Any]:
        own = {id(v) for v in self.weights}
        return [v for v in self.non_trainable_variables if id(v) not in own]


class OrderByStep(keras.callbacks.Callback):
    """Sets the order of each epoch from the steps done so far.

    A fit that stops and goes on, in the same process or after a reload, then sees the batches that
    an uninterrupted one would have seen.

    Args:
        batches: A `PyDataset` with `set_epoch`.
    """

    def __init__(self, batches: Any) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the order of the epoch that begins."""
        self._batches.set_epoch(-(-backend.steps_taken(self.model) // max(len(self._batches), 1)))


def with_callback(callbacks: Any, first: keras.callbacks.Callback) -> Any:
    """Return what `fit` was given as `callbacks`, with one more."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(first)
        return callbacks
    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    return [first, *(c for c in given if c is not None)]
