"""A training step in two halves: the discriminator is updated, then the generator against it.

Keras has a training step for each backend, which differentiates one loss. Here are the same steps
with two losses: `GAN` says what is computed, this file how it is differentiated.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import keras

from synthray._keras.backend import assign, variables_of

Half = Literal["discriminator", "generator"]
# Differentiates a loss by some variables, updates these, and returns the loss.
Update = Callable[[Any, Callable[[], Any], list[Any]], Any]


def train_step(model: Any, *args: Any) -> Any:
    """Take one step, with the arguments and the result of Keras' own on the backend in use.

    Both halves count as one step of the optimizer.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return _jax_step(model, *args)
    return _halves(model, *args, update=_tensorflow if backend == "tensorflow" else _torch)


def _halves(model: Any, data: Any, *, update: Update) -> Any:
    x, _, weight = keras.utils.unpack_x_y_sample_weight(data)
    iterations = model.optimizer.iterations
    before = keras.ops.convert_to_tensor(iterations) + 0  # a copy: torch updates in place
    total = 0.0
    halves: tuple[Half, Half] = ("discriminator", "generator")
    for half in halves:

        def compute(half: Half = half) -> Any:
            return model.half_loss(x, half, weight)

        iterations.assign(before)
        total = total + update(model, compute, getattr(model, half).trainable_variables)
    model.count_loss(total, keras.ops.shape(keras.tree.flatten(x)[0])[0])
    return model.get_metrics_result()


def _tensorflow(model: Any, compute: Callable[[], Any], variables: list[Any]) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = compute()
        scaled = model.optimizer.scale_loss(loss)
    model.optimizer.apply(tape.gradient(scaled, variables), variables)
    return loss


def _torch(model: Any, compute: Callable[[], Any], variables: list[Any]) -> Any:
    import torch

    loss = compute()
    values = [variable.value for variable in variables]
    scaled = model.optimizer.scale_loss(loss)
    gradients = torch.autograd.grad(scaled, values, allow_unused=True)
    with torch.no_grad():
        model.optimizer.apply(gradients, variables)
    return loss.detach()


def _jax_step(model: Any, state: tuple[Any, ...], data: Any) -> Any:
    """Compute with the values of a state in place of the variables', and return the new state."""
    groups = variables_of(model)
    held: list[tuple[Any, Any]] = []
    for group, values in zip(groups, state, strict=True):
        held += zip(group, values, strict=True)
    with keras.StatelessScope(state_mapping=held) as scope:
        logs = _halves(model, data, update=_jax)
    return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)


def _jax(model: Any, compute: Callable[[], Any], variables: list[Any]) -> Any:
    import jax

    chosen = {id(variable) for variable in variables}
    rest = [v for group in variables_of(model) for v in group if id(v) not in chosen]
    fixed = [(v, v.value) for v in rest]

    def pure(values: list[Any]) -> tuple[Any, Any]:
        mapping = [*fixed, *zip(variables, values, strict=True)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            loss = compute()
            scaled = model.optimizer.scale_loss(loss)
        return scaled, (loss, [scope.get_current_value(v) for v in rest])

    values = [variable.value for variable in variables]
    (_, (loss, moved)), gradients = jax.value_and_grad(pure, has_aux=True)(values)
    assign(rest, moved)
    # The optimizer's form without side effects: scaled losses have no other there.
    found = dict(zip(map(id, variables), gradients, strict=True))
    held, state = model.trainable_variables, model.optimizer.variables
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gradients do not exist for variables")
        new = model.optimizer.stateless_apply(
            [v.value for v in state], [found.get(id(v)) for v in held], [v.value for v in held]
        )
    assign([*held, *state], [*new[0], *new[1]])
    return loss
