"""Training on several devices: how many there are, and which part of a batch is on which.

On TensorFlow a training step runs once on each replica, with that replica's images. Random
generators are in the same state on all of them, so without `rows_of_replica` all would draw the
same numbers. On JAX a step is that of the whole batch, and JAX itself spreads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras

from synthray._draws import drawn


def devices_of(model: keras.Model) -> int:
    """Return how many devices share a batch of a model's training.

    Where each of several processes brings images of its own, the devices of this one.
    """
    if keras.backend.backend() == "tensorflow":
        return int(model.distribute_strategy.num_replicas_in_sync)
    distribution = keras.distribution.distribution()
    if distribution is None:
        return 1
    mesh = distribution.device_mesh
    count = int(mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)])
    return count if _divides(distribution) else max(count // _processes(), 1)


def divides_batches(model: keras.Model) -> bool:
    """Whether a strategy of TensorFlow takes a model's batches, be it for one device."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    # Outside of every scope the strategy at hand is the default, which divides nothing.
    return (
        tf.distribute.has_strategy()
        or model.distribute_strategy is not tf.distribute.get_strategy()
    )


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager[Any]:
    """Return the scope in which variables of a model's training are made."""
    if keras.backend.backend() == "tensorflow":
        return model.distribute_strategy.scope()
    return contextlib.nullcontext()


def share_of_process() -> tuple[int, int]:
    """Return which share of each batch this process reads, and how many shares there are.

    Where each process brings images of its own (`auto_shard_dataset=False`), it reads all of them.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or _processes() == 1 or not _divides(distribution):
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


@contextlib.contextmanager
def batches_in_shares() -> Iterator[None]:
    """Let `fit` take batches that hold this process's share alone, which Keras would divide."""
    if share_of_process()[1] == 1:
        yield
        return
    distribution = keras.distribution.distribution()
    distribution.auto_shard_dataset = False
    try:
        yield
    finally:
        distribution.auto_shard_dataset = True


def replica_count() -> int:
    """Return how many replicas run the step that is being computed."""
    return 1 if (replica := _replica()) is None else int(replica.num_replicas_in_sync)


def rows_of_replica(draw: Callable[[Any], Any], n: Any) -> Any:
    """Return `draw(n)`; on one of several replicas, its rows of what one device would draw.

    Replicas then draw different numbers, and together those that a training on one device draws
    with the same seed. Each draws them all and keeps its own, as numbers cost next to nothing.

    Args:
        draw: From a number of rows to that many, of random numbers.
        n: Rows of this replica, as many as on each other.
    """
    replica = _replica()
    if replica is None:
        return drawn(partial(draw, n))
    first = n * replica.replica_id_in_sync_group
    return draw(n * replica.num_replicas_in_sync)[first : first + n]


def mean_over_replicas(value: Any) -> Any:
    """Return the mean of what all replicas have here."""
    replica = _replica()
    return value if replica is None else replica.all_reduce("MEAN", value)


def share_of_loss(loss: Any) -> Any:
    """Return what a replica adds to the loss of the whole batch: gradients of all are added up."""
    count = replica_count()
    return loss if count == 1 else loss / count


def _processes() -> int:
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return int(jax.process_count())


def _divides(distribution: Any) -> bool:
    """Whether all processes are given the same images, and each is to read a share of them."""
    return bool(getattr(distribution, "auto_shard_dataset", True))


def _replica() -> Any:
    """Return TensorFlow's replica, where a step is computed by several."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return replica if replica is not None and replica.num_replicas_in_sync > 1 else None
