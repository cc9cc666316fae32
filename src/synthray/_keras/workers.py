"""Worker processes that train, with the settings of their parent; and temporary files."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import platform
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_lock = threading.Lock()


@functools.cache
def private_folder() -> str:
    """Return a temporary folder of this process; remove those of processes that were killed."""
    start = f"synthray-{platform.node()}-"
    with contextlib.suppress(OSError):  # systems without /proc clean up by themselves
        running = os.listdir("/proc")
        for old in Path(tempfile.gettempdir()).glob(f"{start}*"):
            if old.name.removeprefix(start).partition("-")[0] not in running:
                shutil.rmtree(old, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{start}{os.getpid()}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def temporary_files_apart() -> Iterator[None]:
    """Let temporary files lie in the private folder: Keras makes some when it saves a model."""
    with _lock:
        before, tempfile.tempdir = tempfile.tempdir, private_folder()
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """Let processes that start meanwhile have one thread, no accelerator and this backend.

    Their temporary files lie in the private folder, for they are killed in the end.

    The variables are read when a backend starts, so they change nothing in this process, whose
    backend has started. `TF_ENABLE_ONEDNN_OPTS`: without AVX-512 VNNI TensorFlow leaves oneDNN off,
    and a fit takes half as long again.
    """
    wanted = {
        **dict.fromkeys(_THREADS, "1"),
        # With two threads between operations, TensorFlow keeps two cores busy by turns.
        **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
        "NPROC": "1",  # of JAX
        "KERAS_BACKEND": keras.backend.backend(),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "TMPDIR": private_folder(),
    }
    before = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted.keys() - before.keys():
            os.environ.pop(name, None)
        os.environ.update(before)


def settings() -> dict[str, Any]:
    """Return the settings of Keras that a training depends on."""
    return {
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "dtype_policy": keras.dtype_policies.serialize(keras.config.dtype_policy()),
    }


def begin(given: dict[str, Any]) -> None:
    """Take the settings of the process that sent them."""
    for name in ("floatx", "epsilon", "image_data_format"):
        getattr(keras.config, f"set_{name}")(given[name])
    keras.config.set_dtype_policy(keras.dtype_policies.deserialize(given["dtype_policy"]))


def end_with(parent: int) -> None:
    """Let this process, which `parent` has started, end when that ends, and by nothing else.

    Workers call it as they start, before any job: `parent` may have ended already.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
