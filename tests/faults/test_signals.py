"""SIGINT, SIGTERM and SIGKILL: no worker outlives a run, and none of its files does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.counts import count
from helpers.faults import loky_workers
from synthray._keras.workers import private_folder

pytestmark = pytest.mark.slow

SLEEPING = """
import os, signal, sys, time
from pathlib import Path
import keras

class Sleep(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        with Path(os.environ["SEEN"]).open("a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(600)

def sleep(*place):
    return [Sleep()]

def begin(job, workdir):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    import synthray as sr
    from helpers import comparisons, faults
    if job == "fit":
        faults.fitted(workdir, callbacks=sleep, verbose=1)
    else:
        sr.run_comparison(comparisons.images(16, size=300), cv=2, arms=["original"],
                          leakage="off", n_jobs=int(job), workdir=workdir,
                          training=comparisons.quick(callbacks=sleep))
"""


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize(
    ("how", "job", "when"),
    [
        (signal.SIGINT, "fit", "training"),
        (signal.SIGTERM, "fit", "training"),
        (signal.SIGINT, "1", "training"),
        (signal.SIGINT, "2", "training"),
        (signal.SIGTERM, "2", "training"),
        (signal.SIGTERM, "2", "starting"),
        (signal.SIGKILL, "2", "training"),
    ],
)
def test_nothing_is_left(
    how: signal.Signals, job: str, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, temporary, said = (tmp_path / name for name in ("seen", "temporary", "said"))
    log.touch()
    temporary.mkdir()
    (tmp_path / "sleeping.py").write_text(SLEEPING)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    folders = dict.fromkeys(("TMPDIR", "JOBLIB_TEMP_FOLDER"), str(temporary))
    code = f"import sleeping; sleeping.begin({job!r}, {str(tmp_path / 'work')!r})"
    jobs = int(job) if job.isdigit() else 1
    workers: list[int] = []
    end = time.monotonic() + 120
    with (
        said.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **folders, "SEEN": str(log), "PYTHONPATH": path},
            start_new_session=True,
            stdout=output,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            while len(workers) < jobs * (jobs > 1) or (
                when == "training" and len(log.read_text().splitlines()) < jobs
            ):
                assert time.monotonic() < end
                assert process.poll() is None
                time.sleep(0.1)
                workers = loky_workers(process.pid)
            process.send_signal(how)
            process.wait(60)
        finally:
            process.kill()

    def left() -> list[Any]:
        return [*filter(alive, workers), *temporary.glob("joblib*")]

    end = time.monotonic() + 60
    while left() and time.monotonic() < end:
        time.sleep(0.1)
    assert not left()
    lines = [line for line in said.read_text().splitlines() if "goes on" in line]
    assert len(lines) == (how == signal.SIGINT)  # how to go on
    if how == signal.SIGINT:
        # TensorFlow removes the modules that it has generated, but not their compiled form.
        assert {path.name for path in temporary.iterdir()} <= {"__pycache__"}
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    private_folder.cache_clear()
    folder = Path(private_folder())  # the next run removes the folder of one that was killed
    private_folder.cache_clear()
    assert list(temporary.glob("synthray*")) == [folder]
    count("kills at random moments" if how == signal.SIGKILL else "interrupts and terminations")
