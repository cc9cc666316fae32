"""A training step on torch, recorded once and then repeated without Keras.

TensorFlow and JAX compile a step of Keras; torch runs the Python of each layer, each time, and a
GPU waits for it. Here the operations that a step calls are written down once (`make_fx`) and called
alone from then on, as one graph of CUDA. Nothing is fused and nothing left out: the numbers are
those of Keras' step.

Random draws cannot be recorded, for a seed is a number of Python there: they are made before each
step, as the step would make them, and given to it (`synthray._draws`).
"""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Callable
from itertools import chain
from typing import Any

import keras

from synthray._draws import Draw, given, noted
from synthray._variables import assign, variables_of
from synthray.generators._cuda_graph import CudaGraph

Logs = dict[str, Any]
Step = Callable[[Any], Logs]

_MOST = 8  # sizes of batches

_log = logging.getLogger("synthray")


def worth_recording(model: Any) -> bool:
    """Whether a model's steps are recorded: on torch with CUDA, unless they are to run otherwise.

    Elsewhere the operations take most of the time, and to record them would take seconds.
    """
    if keras.backend.backend() != "torch" or model.run_eagerly or model.jit_compile:
        return False
    return any(variable.value.is_cuda for variable in model.trainable_variables)


class RecordedStep:
    """A `train_function`: takes the first step of each size of batch as Keras does, then records.

    What cannot be recorded goes on as Keras does it, and a line of the log says why.

    Args:
        model: The model, compiled.
        plain: Takes a step of it as Keras does: from a list of one batch to what is logged.
    """

    def __init__(self, model: Any, plain: Step) -> None:
        self._model = model
        self._plain = plain
        self._draws: dict[str, list[Draw]] = {}
        self.recordings: dict[str, Recording] = {}
        self.reason: str | None = None

    def __call__(self, data: Any) -> Logs:
        """Take a step; `data` is a list of one batch, as Keras hands it over."""
        if self.reason is not None:
            return self._plain(data)
        batch = keras.tree.map_structure(_on_device, data[0])
        key = str(keras.tree.map_structure(_described, batch))
        if key not in self._draws:
            if len(self._draws) == _MOST:
                return self._give_up(batch, f"batches come in more than {_MOST} sizes")
            with noted() as self._draws[key]:
                return self._plain([batch])
        variables = list(chain(*variables_of(self._model)))
        recording = self.recordings.get(key)
        if recording is not None and recording.is_of(variables):
            return recording.step(batch)
        return self._record(key, batch, variables)

    def release(self) -> None:
        """Give memory back that only a training needs; what was recorded stays."""
        for recording in self.recordings.values():
            if isinstance(recording.repeat, CudaGraph):
                recording.repeat.release()

    def _record(self, key: str, batch: Any, variables: list[Any]) -> Logs:
        before = [variable.value.detach().clone() for variable in variables]
        try:
            self.recordings[key], logs = recorded(
                self._plain, batch, variables, draws=self._draws[key]
            )
        except Exception as error:  # of any kind: losses and layers may be anyone's
            assign(variables, before)
            return self._give_up(batch, _in_one_line(error))
        finally:
            self._model.zero_grad()
        return logs

    def _give_up(self, batch: Any, reason: str) -> Logs:
        self.reason = reason
        name = self._model.name
        _log.warning("The steps of %s are not recorded, and slower for it: %s", name, reason)
        return self._plain([batch])


class Recording:
    """The operations of a step for one size of batch.

    Args:
        values: Tensors of the variables that they read and write.
        draws: Makes the draws of a step, in their order.
        repeat: Calls them, with the tensors of a batch and of the draws.
    """

    def __init__(self, values: list[Any], draws: list[Draw], repeat: Step) -> None:
        self._values = values
        self._draws = draws
        self.repeat = repeat

    def is_of(self, variables: list[Any]) -> bool:
        """Whether these are, still, the variables that the operations read and write."""
        return len(variables) == len(self._values) and all(
            variable.value is value for variable, value in zip(variables, self._values, strict=True)
        )

    def step(self, batch: Any) -> Logs:
        """Take a step."""
        return self.repeat(_tensors(batch, self._draws))


def recorded(
    plain: Step, batch: Any, variables: list[Any], *, draws: list[Draw]
) -> tuple[Recording, Logs]:
    """Take a step and write its operations down.

    Args:
        plain: Takes a step, as of `RecordedStep`.
        batch: On the device.
        variables: All that a step may read or write.
        draws: Makes its draws, in their order.

    Raises:
        ValueError: If it makes draws of its own.
    """
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    logs: Logs = {}

    def step(values: list[Any], tensors: list[Any]) -> Logs:
        left = iter(tensors)
        own = keras.tree.map_structure(lambda old: None if old is None else next(left), batch)
        with given(left):
            logs.update(plain([own]))
        return dict(logs)

    values = [variable.value for variable in variables]
    # What other threads do, to which torch gives the gradients, would not be recorded.
    with torch.autograd.set_multithreading_enabled(False):
        operations = make_fx(step)(values, _tensors(batch, draws))
    for node in operations.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise ValueError(f"{node.target} draws numbers, by no seed of the model")
    keep_literals(operations)
    repeat = CudaGraph if values[0].is_cuda else torch.no_grad()
    recording = Recording(values, draws, repeat(lambda tensors: operations(values, tensors)))
    return recording, {name: value.detach() for name, value in logs.items()}


def keep_literals(operations: Any) -> None:
    """Keep the tensors that a step makes of literals, where it makes them anew and only reads them.

    Args:
        operations: What `make_fx` returned; changed.
    """
    import torch

    graph: Any = operations.graph
    aten = torch.ops.aten
    kept: set[Any] = set()
    for number, node in enumerate(list(graph.nodes)):
        source: Any = node.args[0] if node.args else None
        literal = node.target is aten.lift_fresh_copy.default and source.op == "get_attr"
        moved = node.target is aten._to_copy.default and source in kept
        if not (literal or moved) or not all(map(_only_reads, node.users)):
            continue
        value = node.target(getattr(operations, source.target), **node.kwargs)
        operations.register_buffer(f"_kept{number}", value)
        with graph.inserting_before(node):
            own = graph.get_attr(f"_kept{number}")
        node.replace_all_uses_with(own)
        graph.erase_node(node)
        kept.add(own)
    operations.recompile()


def _only_reads(node: Any) -> bool:
    """Whether an operation neither changes what it is given nor returns a part of it."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and all(
        part.alias_info is None for part in (*schema.arguments, *schema.returns)
    )


def _in_one_line(error: Exception) -> str:
    words = re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}").split()  # no colours
    return textwrap.shorten(" ".join(words), 400)


def _tensors(batch: Any, draws: list[Draw]) -> list[Any]:
    """Return what a step is given, the draws made now."""
    of_batch = [value for value in keras.tree.flatten(batch) if value is not None]
    return [*of_batch, *(draw() for draw in draws)]


def _on_device(value: Any) -> Any:
    return None if value is None else keras.ops.convert_to_tensor(value)


def _described(value: Any) -> Any:
    return None if value is None else (tuple(value.shape), str(value.dtype))
