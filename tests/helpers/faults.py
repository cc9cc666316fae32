"""Faults to survive: processes that are killed at any moment, disks that are full.

Children are forked from a process that has imported the library and computed nothing: they start
in milliseconds, and may train.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import multiprocessing.forkserver
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import pytest
from tqdm import tqdm

import synthray as sr
from helpers import comparisons
from helpers.results import make_result
from helpers.tiny import tiny_augmenter
from helpers.toys import bars

tqdm.get_lock()  # of which each child would make another, and leave it behind when killed
Begin = Callable[[], None]
_SHORT = 60.0  # seconds that nothing here takes


@functools.cache
def warm() -> Any:
    """Return what starts children."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "helpers.bombs"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


@contextlib.contextmanager
def started(function: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """Run `function(begin, *arguments)` in a child that has called `begin()`; kill it afterwards.

    The function is one that children find by its name: of this module, not of a test.
    """
    ours, theirs = warm().Pipe()
    process = warm().Process(target=_run, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        if not ours.poll(_SHORT):
            raise TimeoutError(f"{function.__name__} has not begun")
        ours.recv()  # EOFError: it ended before it began
        yield process
    finally:
        process.kill()
        process.join()
        ours.close()


def _run(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    function(functools.partial(connection.send, None), *arguments)


def killed_after(seconds: float, function: Callable[..., Any], *arguments: Any) -> bool:
    """Kill a child so long after it has begun; return whether it had not ended before."""
    with started(function, *arguments) as process:
        process.join(seconds)
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{function.__name__} ended with {process.exitcode}")
    return bool(process.exitcode)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system in memory; the test is skipped where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        pytest.skip(f"a small file system cannot be mounted here, for which one is root: {reason}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def no_room(disk: Path | None, *, left: int) -> Iterator[None]:
    """Let a disk have no more than `left` bytes; without one, no file may have more."""
    if disk is None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast = disk / ".ballast"
    ballast.write_bytes(bytes(max(0, free - left)))
    try:
        yield
    finally:
        ballast.unlink()


class Took(NamedTuple):
    """What a call took above what the import takes, and what came of it."""

    mb: float
    seconds: float
    outcome: str


def measured(most_mb: float, most_seconds: float, function: Callable[..., Any], *args: Any) -> Took:
    """Call a function in a child, which is killed beyond these limits."""
    ours, theirs = warm().Pipe()
    process = warm().Process(target=_measure, args=(theirs, function, args))
    process.start()
    theirs.close()
    start, before, found = time.monotonic(), 0.0, None
    try:
        before = ours.recv()
        while not ours.poll(0.02):
            mb, seconds = _memory(process.pid, "VmHWM") - before, time.monotonic() - start
            if mb > most_mb or seconds > most_seconds:
                found = Took(mb, seconds, "beyond the limit")
                break
        found = found or ours.recv()
        process.join(0 if found.outcome.startswith("beyond") else _SHORT)
    except (EOFError, OSError):
        found = Took(0.0, time.monotonic() - start, "the process died")
    finally:
        process.kill()
        process.join()
        ours.close()
    return found


def _measure(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    warnings.simplefilter("ignore")
    before, start = _memory("self", "VmRSS"), time.monotonic()
    connection.send(before)
    try:
        function(*arguments)
        outcome = "loaded"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    connection.send(Took(_memory("self", "VmHWM") - before, seconds, outcome))


def _memory(process: int | str | None, what: str) -> float:
    """Return MB that a process has: `VmRSS` now, `VmHWM` at most so far; of a dead one, none."""
    told = Path(f"/proc/{process}/status").read_text().partition(f"{what}:")[2].split()
    return int(told[0]) / 1000 if told else 0.0


def loky_workers(parent: int) -> list[int]:
    """Processes of joblib that `parent` has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that ends meanwhile
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[1]) == parent and b"popen_loky" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


# What is saved over an earlier save, and read again: each in an old and a new state.


def data_sets() -> list[sr.ImageDataset]:
    return [replace(comparisons.images(200, seed, size=32), groups=None) for seed in (0, 1)]


def results() -> list[sr.ComparisonResult]:
    return [make_result(n=n, epochs=200) for n in (120, 240)]


def augmenters(folder: Path) -> list[sr.SyntheticAugmenter]:
    """Fit two, or load those that were fitted before."""
    found = []
    for seed in (0, 1):
        saved = folder / f"seed{seed}"
        if not saved.exists():
            tiny_augmenter(random_state=seed).fit(bars(8), verbose=0).save(saved)
        found.append(sr.SyntheticAugmenter.load(saved))
    return found


KINDS: dict[str, tuple[Callable[..., list[Any]], Callable[[Path], Any], Callable[[Any], Any]]] = {
    "data.npz": (data_sets, sr.ImageDataset.load, lambda data: data.images.tobytes()),
    "result.json": (results, sr.ComparisonResult.load, lambda result: repr(result.to_dict())),
    "augmenter": (augmenters, sr.SyntheticAugmenter.load, lambda saved: saved.fingerprint()),
}
"""How each is made, read, and told from another, by the name it is saved under."""


def states(name: str, folder: Path) -> list[Any]:
    make = KINDS[name][0]
    return make(folder) if make is augmenters else make()


def save_by_turns(begin: Begin, name: str, path: Path, folder: Path) -> None:
    """Save the new state over the old one, then the old one over it, and so on."""
    old, new = states(name, folder)
    begin()
    while True:
        new.save(path)
        old.save(path)


def write_images(begin: Begin, path: Path, folder: Path) -> None:
    augmenter = augmenters(folder)[0]
    begin()
    augmenter.sample_to_folder(path, 2000, seed=0, batch_size=500, verbose=0)


# What is trained, in a folder that keeps it.


def fit(begin: Begin, folder: Path) -> None:
    begin()
    fitted(folder)


def fitted(folder: Path | None, *, verbose: int = 0, **arguments: Any) -> sr.SyntheticAugmenter:
    augmenter = tiny_augmenter(epochs=8, batch_size=4)
    return augmenter.fit(bars(16), workdir=folder, verbose=verbose, **arguments)


def compare(begin: Begin, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    begin()
    comparisons.killed(folder / "work", folder / "log").save(folder / "result.json")


class Hang(keras.callbacks.Callback):
    """Says that a training has begun, and never ends."""

    def __init__(self, begin: Begin) -> None:
        super().__init__()
        self.begin = begin

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.begin()
        time.sleep(10 * _SHORT)


def hang_in_fit(begin: Begin, folder: Path) -> None:
    fitted(folder, callbacks=lambda name: [Hang(begin)])


def hang_in_comparison(begin: Begin, folder: Path) -> None:
    compared(folder, callbacks=lambda arm, seed: [Hang(begin)])


def compared(workdir: Path | None, **training: Any) -> sr.ComparisonResult:
    """A comparison in a blink."""
    return sr.run_comparison(
        comparisons.images(24),
        cv=2,
        augmenter=comparisons.TenLines(),
        arms=["original", "mixed"],
        training=comparisons.quick(**training),
        leakage="off",
        workdir=workdir,
        verbose=0,
    )
