from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import joblib
import keras
import numpy as np
import pytest

import synthray as sr
from helpers import comparisons
from helpers.comparisons import assert_equal, dense, images, quick
from helpers.faults import loky_workers

pytestmark = pytest.mark.slow
DATA = images(40)
ARMS = ("original", "augmented", "mixed")


def compare(**options: Any) -> sr.ComparisonResult:
    factor = 1.5  # functions may close over values
    training = quick(epochs=2, augmentation=lambda batch: batch / factor, validation=0.2)
    settings = {"training": training, "arms": ARMS, "cv": 2, "seeds": (0, 1), "leakage": "off"}
    augmenter = comparisons.TenLines()
    return sr.run_comparison(DATA, **{**settings, "augmenter": augmenter, "verbose": 0, **options})


@pytest.fixture(scope="module")
def serial() -> sr.ComparisonResult:
    return compare()


def test_processes_compute_the_same_and_are_gone(
    serial: sr.ComparisonResult, tmp_path: Path
) -> None:
    parallel = compare(n_jobs=2, workdir=tmp_path / "work")
    for key, values in comparisons.probabilities(serial).items():
        np.testing.assert_allclose(comparisons.probabilities(parallel)[key], values, atol=1e-5)
    assert not loky_workers(os.getpid())
    # The workdir does not know in how many processes its fits were computed.
    assert_equal(compare(workdir=tmp_path / "work"), parallel)


def test_the_number_of_processes_does_not_count() -> None:
    options: dict[str, Any] = {"arms": ["augmented"], "seeds": (0,)}
    assert_equal(compare(n_jobs=3, cv=3, **options), compare(n_jobs=2, cv=3, **options))


def seen(arm: str, seed: int) -> list[Any]:
    class See(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            names = ("TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES", "KERAS_BACKEND")
            values = [os.environ.get(name) for name in names]
            policy = keras.config.dtype_policy().name
            with Path(os.environ["SEEN"]).open("a") as file:
                file.write(f"{os.getpid()} {values} {policy}\n")

    return [See()]


def test_workers_have_one_thread_and_the_settings_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    compare(n_jobs=2, training=quick(callbacks=seen), arms=["original"])
    lines = (tmp_path / "seen").read_text().splitlines()
    assert len(lines) == 4
    assert all(f"['1', '', {keras.backend.backend()!r}] float32" in line for line in lines)
    assert str(os.getpid()) not in {line.split()[0] for line in lines}
    assert os.environ.get("TF_NUM_INTRAOP_THREADS") == threads


def broken(image_shape: Any) -> keras.Model:
    if "LOKY_WORKER" in os.environ or os.getpid() != comparisons_pid():
        raise ZeroDivisionError("in a worker")
    return dense(image_shape)


def comparisons_pid() -> int:
    return int(os.environ.get("SYNTHRAY_TEST_PID", os.getpid()))


def test_errors_of_workers_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHRAY_TEST_PID", str(os.getpid()))
    with pytest.raises(ZeroDivisionError, match="worker"):
        compare(n_jobs=2, training=quick(classifier=broken), arms=["original"])


def killing(arm: str, seed: int) -> list[Any]:
    class Kill(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    return [Kill()]


def test_a_worker_that_is_killed_is_said() -> None:
    with pytest.raises(RuntimeError, match="n_jobs"):
        compare(n_jobs=2, training=quick(callbacks=killing), arms=["original"])


def test_what_cannot_be_sent_is_said(tmp_path: Path) -> None:
    file = (tmp_path / "open").open("w")
    training = quick(augmentation=lambda batch: (file.name, batch)[1])
    with pytest.raises(TypeError, match="n_jobs=1"):
        compare(n_jobs=2, training=training, arms=["augmented"])
    file.close()


def test_dask_computes_the_same(serial: sr.ComparisonResult) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = compare(arms=["original", "mixed"], n_jobs=-1)
    for key, values in comparisons.probabilities(found).items():
        np.testing.assert_allclose(comparisons.probabilities(serial)[key], values, atol=1e-5)
