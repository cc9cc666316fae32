"""The processes of a comparison end with the one that started them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from test_auto_executor import alive, pids

SCRIPT = """
import faulthandler, os, signal, sys, threading, time
faulthandler.register(signal.SIGUSR1, all_threads=True)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in a background
import keras, loky, numpy as np
import synthray as sr
from synthray.comparison import processes

processes.WORTH_PROCESSES = 1
loky.cpu_count = lambda: 2

def slow(train, synthetic):  # of a script, which has no guard either
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    time.sleep(600)

def interrupt():
    while len([name for name in os.listdir(sys.argv[1]) if name.isdigit()]) < 2:
        time.sleep(0.1)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

if sys.argv[2] == "elsewhere":
    threading.Thread(target=interrupt).start()

def make():
    layers = [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    return keras.Sequential(layers)

data = sr.ImageDataset.from_arrays(np.zeros((12, 16, 16), "uint8"), np.arange(12) % 2)
arm = sr.Arm("slow", sr.Phase(slow))
sr.run_comparison(data, folds=2, classifier=make, arms=[arm], epochs=1, audit="off")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
@pytest.mark.parametrize("kind", ["interrupted", "elsewhere", "killed"])
def test_processes_end_with_this_one(kind: str, tmp_path: Path) -> None:
    """A system may give an interrupt to any thread: `elsewhere`, to one that is not waiting."""
    script, folder = tmp_path / "script.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    folder.mkdir()
    command = [sys.executable, str(script), str(folder), kind]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE) as parent:
        try:
            wait_for(lambda: len(pids(folder)) == 2 or parent.poll() is not None)
            if kind == "interrupted":  # as by Ctrl-C, which goes to all of them
                os.killpg(parent.pid, signal.SIGINT)
            elif kind == "killed":
                parent.kill()
            try:
                _, errors = parent.communicate(timeout=60)
            except subprocess.TimeoutExpired:  # where does it hang?
                parent.send_signal(signal.SIGUSR1)
                time.sleep(1.0)
                os.killpg(parent.pid, signal.SIGKILL)
                raise AssertionError(parent.communicate()[1].decode()) from None
        finally:
            parent.kill()
    assert len(pids(folder)) == 2, errors.decode()
    wait_for(lambda: not any(map(alive, pids(folder))))
    if kind != "killed":
        assert errors.decode().count("Traceback") == 1  # this one's own


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
