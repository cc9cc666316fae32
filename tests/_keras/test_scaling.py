"""Training on several devices gives what training on one gives, for each form and generator.

Parity means: the same seed, images and global batch give the same losses up to rounding, in each
of two epochs. So all random numbers are those of one device too: latents, dropout, augmentation
and penalties; and the gradients have its scale and mean, or the second epoch would differ.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from helpers.scaled_training import EPOCHS, IMAGES, KINDS
from synthray._keras.batches import ArrayBatches
from synthray._keras.streams import _Share

SCRIPT = Path(__file__).parents[1] / "helpers" / "scaled_training.py"
# What each image adds to the loss. Diversity is not: devices find it each for its own images.
LOSSES = ("loss", "d_loss", "g_loss", "penalty")


@dataclass(frozen=True)
class Runs:
    """What trainings of one generator on one backend found, by form, and what they generated."""

    found: dict[str, dict[str, Any]]
    images: dict[str, dict[str, NDArray[np.uint8]]]
    file_of: dict[str, str]

    @property
    def scaled(self) -> list[str]:
        return [form for form in self.found if form != "one"]


def train(backend: str, folder: Path, *forms: str, others: tuple[Path, ...] = ()) -> None:
    """Run `scaled_training.py` for these forms, side by side, each in its own folder."""
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(map(str, (SCRIPT.parents[1], Path(sr.__file__).parents[1]))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # it takes longer than the training
    }
    running = []
    for form in forms:
        (folder / form).mkdir()
        command = [sys.executable, str(SCRIPT), form, str(folder / form), *map(str, others)]
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen(command, env=environment, text=True, **pipes))
    try:
        for process in running:
            _, errors = process.communicate(timeout=180 * len(KINDS))
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in running:
            process.kill()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# Starts five programs.
@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what all generators found on a backend, in each form."""
    backend = request.param
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed (pip install -e '.[{backend}]')")
    folder = tmp_path_factory.mktemp("scaled")
    if backend == "tensorflow":
        train(backend, folder, "mirrored")
    else:
        train(backend, folder, "parallel")
        port = free_port()
        train(backend, folder, *(f"process:{port}:{i}" for i in range(2)))
    train(backend, folder, "one", others=tuple(folder.iterdir()))
    return folder


@pytest.fixture(params=KINDS)
def runs(trained: Path, request: pytest.FixtureRequest) -> Runs:
    places = {path.name: path / request.param for path in trained.iterdir()}
    return Runs(
        {form: json.loads((place / "found.json").read_text()) for form, place in places.items()},
        {form: dict(np.load(place / "images.npz")) for form, place in places.items()},
        {form: str(place / "gan.keras") for form, place in places.items() if form != "one"},
    )


@pytest.mark.slow
def test_losses_are_those_of_one_device(runs: Runs) -> None:
    expected = runs.found["one"]
    assert expected["steps"] == 6
    for form in runs.scaled:
        found = runs.found[form]
        assert found["devices"] == 2
        assert found["steps"] == expected["steps"]
        assert found.get("images_seen") == expected.get("images_seen")
        assert found.get("images_seen") in (None, IMAGES * EPOCHS)
        for name in LOSSES:
            if name in expected:
                assert found[name] == pytest.approx(expected[name], rel=3e-4), (form, name)


@pytest.mark.slow
def test_sample_gives_what_one_device_gives(runs: Runs) -> None:
    expected = runs.images["one"]["own"].astype(int)
    assert expected.std() > 5
    for form in runs.scaled:
        images = runs.images[form]["own"]
        assert images.shape == expected.shape
        assert images.dtype == np.uint8
        assert np.abs(images - expected).max() <= 2, form


@pytest.mark.slow
def test_one_device_loads_what_several_saved(runs: Runs) -> None:
    assert runs.file_of
    for form, file in runs.file_of.items():
        loaded, images = runs.images["one"][file], runs.images[form]["own"]
        # Equal but where a value lies between two shades: programs of their own round as they do.
        assert np.abs(loaded.astype(int) - images).max() <= 1, form
        assert (loaded == images).mean() > 0.99, form


@pytest.mark.parametrize(("images", "expected"), [(20, [8, 8, 4]), (23, [8, 8, 4]), (17, [8, 8])])
def test_a_last_batch_is_cut_to_what_devices_share(images: int, expected: list[int]) -> None:
    batches = ArrayBatches(np.arange(images), batch_size=8, shuffle=True, multiple=4)
    assert len(batches) == len(expected)
    found = [batches[i] for i in range(len(batches))]
    assert [len(batch) for batch in found] == expected
    assert len(set(np.concatenate(found))) == sum(expected)


def test_processes_share_each_batch() -> None:
    batches = ArrayBatches(np.arange(10), np.arange(10) % 2, batch_size=6, multiple=2)
    shares = [_Share(batches, i, 2) for i in range(2)]
    assert [share.num_batches for share in shares] == [2, 2]
    for index in range(2):
        for part in range(2):
            joined = np.concatenate([share[index][part] for share in shares])
            np.testing.assert_array_equal(joined, batches[index][part])
