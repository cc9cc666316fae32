"""Training the generators of an augmenter: resumed from checkpoints, with its cost said first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Protocol

from synthray.augmenter.checkpoints import Checkpoint, steps_to_go
from synthray.augmenter.parts import Epochs, epochs_of
from synthray.augmenter.progress import CostEstimate
from synthray.datasets.image_dataset import ImageDataset

Histories = dict[str, dict[str, list[float]]]


class Settings(Protocol):
    """What an augmenter says of the training of its generators."""

    epochs: Epochs
    batch_size: int
    random_state: int | None


def train(
    settings: Settings,
    models: Mapping[str, Any],
    parts: Mapping[str, ImageDataset],
    *,
    sizes: Mapping[str, int],
    what: str,
    workdir: str | PathLike[str] | None,
    callbacks: Callable[[str], list[Any]] | None,
    verbose: Any,
) -> tuple[dict[str, Any], Histories]:
    """Train each model on its part of the images, one after the other.

    Args:
        settings: The augmenter.
        models: Untrained models by name.
        parts: What each learns from; a checkpoint knows its images by their hash.
        sizes: Images that an epoch of each passes over.
        what: Begins the sentence that says the cost: what is trained, `{steps}` times.
        workdir: Folder of the checkpoints.
        callbacks: Called with a name, returns Keras callbacks.
        verbose: As in Keras `fit`.

    Returns:
        Trained models and the metrics of all their epochs, by name.

    Raises:
        ValueError: If `workdir` holds models of other images or settings.
    """
    batch_size = settings.batch_size
    epochs = {name: epochs_of(settings.epochs, size) for name, size in sizes.items()}
    checkpoints = {
        name: Checkpoint(workdir, name, part, batch_size, settings.random_state, models[name])
        for name, part in parts.items()
    }
    states = {name: checkpoint.restore() for name, checkpoint in checkpoints.items()}

    def ended(name: str) -> bool:  # at its last epoch, or where a callback stopped it
        return checkpoints[name].ended_at == epochs[name]

    to_go = {name: state for name, state in states.items() if not ended(name)}
    steps = steps_to_go(to_go, sizes, epochs, batch_size)
    estimate = CostEstimate(steps, what.format(steps=f"{steps:,} steps"), verbose=verbose)
    trained: dict[str, Any] = {}
    histories: Histories = {}
    for name, part in parts.items():
        restored, history, done = states.pop(name)
        model = models[name] if restored is None else restored
        if done < epochs[name] and not ended(name):
            given = [] if callbacks is None else callbacks(name)
            fitted = model.fit(
                part,
                batch_size=batch_size,
                epochs=epochs[name],
                initial_epoch=done,
                callbacks=[estimate, *checkpoints[name].callbacks(history, given)],
                verbose=verbose,
            )
            new = fitted.history  # a metric that is not taken every epoch may be in one alone
            history = {k: [*history.get(k, []), *new.get(k, [])] for k in {**history, **new}}
        trained[name], histories[name] = model, history
    return trained, histories
