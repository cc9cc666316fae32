"""Training on several devices: how many there are, and which part of a batch is on which.

On TensorFlow a training step runs once on each replica, with that replica's images. Random
generators are in the same state on all of them: without `rows_of_replica` all would draw the same
numbers. On JAX a step is that of the whole batch, and JAX itself spreads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras


def devices_of(model: keras.Model) -> int:
    """Return how many devices share a batch of a model's training.

    If each of several processes brings images of its own, these are the devices of this one.
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
    """Whether a strategy of TensorFlow divides a model's batches, even for a single device."""
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

    If each process brings images of its own (`auto_shard_dataset=False`), it reads all of them.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or _processes() == 1 or not _divides(distribution):
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


@contextlib.contextmanager
def batches_in_shares(active: bool = True) -> Iterator[None]:
    """Let `fit` take batches that hold this process's share alone, which Keras would divide."""
    if not active or share_of_process()[1] == 1:
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
    """Return `draw(n)`; on one of several replicas, its rows of the numbers of one device.

    Replicas then draw different numbers, and together those that a training on one device draws
    with the same seed. Each draws all of them and keeps its own: numbers cost next to nothing.

    Args:
        draw: Takes a number of rows and returns as many rows of random numbers.
        n: Rows of this replica; each other has as many.
    """
    replica = _replica()
    if replica is None:
        return draw(n)
    first = n * replica.replica_id_in_sync_group
    return draw(n * replica.num_replicas_in_sync)[first : first + n]


def mean_over_replicas(value: Any) -> Any:
    """Return the mean of a value over all replicas."""
    replica = _replica()
    return value if replica is None else replica.all_reduce("MEAN", value)


def share_of_loss(loss: Any) -> Any:
    """Return a replica's share of the loss of a batch; TensorFlow adds up their gradients."""
    count = replica_count()
    return loss if count == 1 else loss / count


def _processes() -> int:
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return int(jax.process_count())


def _divides(distribution: Any) -> bool:
    """Whether all processes are given the same images, and each reads a share of them."""
    return bool(getattr(distribution, "auto_shard_dataset", True))


def _replica() -> Any:
    """Return TensorFlow's replica if several compute a step."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return replica if replica is not None and replica.num_replicas_in_sync > 1 else None
