"""Inputs for the properties: arrays, labels, data sets, and damage that files take."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import synthray as sr

Found = TypeVar("Found")

REAL_TYPES = [*"bhilBHILefd", "g", ">f4", ">i2", ">u4"]
OTHER_TYPES = ["?", "F", "D", "O", "U3", "S3", "M8[s]"]
_EDGES = [-1000.0, -1.11, -1.1, -1.0, -0.11, -0.1, -0.0, 0.0, 5e-324, 1e-40, 0.5, 1.0, 1.002, 1.1]
_EDGES += [1.11, 2.0, 15.9, 16.0, 16.1, 254.0, 255.0, 255.1, 256.0, 280.0, 281.0, 4095.0, 65535.0]
_EDGES += [1e30, 1e300, float("nan"), float("inf"), float("-inf")]


def share(part: float) -> settings:
    """Settings of a property that costs `part` times as much as others."""
    return settings(max_examples=max(1, int(settings().max_examples / part)))


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder of one example; fixtures would be shared by all."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def attempt(
    function: Callable[[], Found], errors: Any = (ValueError, TypeError)
) -> tuple[Found | None, str, list[Any]]:
    """Return a result, or the message of a clear error; and the categories of warnings."""
    found, message = None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # As in pyproject.toml: NumPy tells Keras on JAX and torch.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        try:
            found = function()
        except errors as error:
            message = str(error) or repr(error)
    return found, message, [warning.category for warning in caught]


def shapes(side: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of a few images of up to `side` pixels; some shapes are of no images."""
    sides, count = st.integers(1, side), st.integers(1, 4)
    gray = st.tuples(count, sides, sides)
    colour = st.tuples(count, sides, sides, st.sampled_from([1, 3, 2, 4]))
    return gray | colour | colour | hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=3)


@st.composite
def arrays(draw: st.DrawFn, shape: st.SearchStrategy[tuple[int, ...]]) -> NDArray[Any]:
    """Arrays of any type, range and order in memory."""
    dtype = np.dtype(draw(st.sampled_from(REAL_TYPES * 3 + OTHER_TYPES)))
    size = draw(shape)
    usual = st.sampled_from([(0, 1), (-1, 1), (0, 255), (-1.1, 1.1), (0, 200)])
    edge = st.sampled_from(_EDGES)
    black, white = draw(usual | st.tuples(edge, edge))
    values = np.random.default_rng(draw(st.integers(0, 99))).random(size)
    with np.errstate(all="ignore"):
        values = np.asarray(black + values * (np.nan_to_num(white) - np.nan_to_num(black)))
        for extreme in (black, white):
            if values.size:
                values.flat[draw(st.integers(0, values.size - 1))] = extreme
        array = values.astype("i8").astype(dtype) if dtype.kind == "M" else values.astype(dtype)
    return draw(st.sampled_from(_ORDERS))(array)


def _turned(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array.T).T


def _backwards(array: NDArray[Any]) -> NDArray[Any]:
    # One without dimensions has no order, and np.flip would take its number out.
    return np.flip(np.flip(array).copy()) if array.ndim else array


def _gapped(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.ndim == 0 else np.repeat(array, 2, axis=-1)[..., ::2]


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = array.copy()
    array.flags.writeable = False
    return array


def _repeated(array: NDArray[Any]) -> NDArray[Any]:
    return np.broadcast_to(array[:1], array.shape) if len(array.shape[:1]) and len(array) else array


Order = Callable[[NDArray[Any]], NDArray[Any]]
_ORDERS: list[Order] = [np.ascontiguousarray, np.asarray, _turned, _backwards, _gapped]
_ORDERS += [_frozen, _repeated]

_WHOLE = [0, 1, 2, 7, -3, 255, 65535, 65536, 10**9, -(2**63), 2**63 - 1]
_TEXTS = ["a", "b", "", " ", "0", "1", "True", "nan", "Knöchel", "e\u0301", "é", "骨折", "a/b"]
_TEXTS += ["\ud800"]
_FORMS = ["list", "list", "array", "column", "object", "narrow", "(n, 1)", "(n, 2)", "()"]
_FORMS += ["one-hot"]


class Column:
    """What pandas has: an object that NumPy turns into an array of Python objects."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        array = np.empty(len(self.values), object)
        array[:] = self.values
        return array if dtype is None else array.astype(dtype)

    def __len__(self) -> int:
        return len(self.values)


@st.composite
def labels(draw: st.DrawFn, n: int) -> Any:
    """Labels of `n` images, of any kind; some are no labels."""
    kinds: list[list[Any]] = [
        [0, 1],
        _WHOLE,
        [0, 65535],
        [1, 65536],
        [2**63, 2**64 - 1],
        [2**70, 1],
        [False, True],
        [0.0, 1.0, -2.0, 1e6],
        [0.0, 1e300],
        [0.5, 1.0],
        [0.0, float("nan"), float("inf")],
        _TEXTS,
        [text.encode() for text in _TEXTS[:-1]],
        [b"\xff", b"a"],
        ["a", 1],
        [b"a", 1],
        [b"a", "b"],
        ["a", None],
        ["a", float("nan")],
        [None],
        [1, 2.0],
        [True, 2],
        [1j, 0],
        [np.datetime64("2020-01-01"), np.datetime64("2021-01-01")],
        [(), {}],
    ]
    pool = draw(st.sampled_from(kinds))
    size = draw(st.sampled_from([n] * 12 + [0, 1, n + 1]))
    values = [draw(st.sampled_from(pool)) for _ in range(size)]
    form = draw(st.sampled_from(_FORMS))
    if form == "list":
        return values
    if form == "column":
        return Column(values)
    if form == "object":
        return np.asarray(Column(values))
    if form == "one-hot":
        return np.eye(3, dtype=draw(st.sampled_from("f?iU")))[np.arange(size) % 3]
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        return values
    small = array.dtype.kind in "iu" and array.size and 0 <= array.min() <= array.max() < 128
    if form == "narrow" and small:
        return array.astype(draw(st.sampled_from("bBhHIe")))
    if form == "(n, 2)":
        return np.stack([array, array], axis=1)
    if form == "()":
        return values[0] if values else None
    return array.reshape(-1, 1) if form == "(n, 1)" else array


# NumPy's texts cannot end in NUL.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NAMES |= st.sampled_from(["n" * 300, "..", "a/b", "con", "e\u0301", "é"])
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_PLAIN = st.none() | st.booleans() | st.integers() | _FINITE | NAMES
_DAMAGE = ["flip", "flip", "flip", "cut", "cut", "empty", "double", "zero", "swap", "insert"]


@st.composite
def datasets(draw: st.DrawFn) -> sr.ImageDataset:
    """Image sets with any names, groups, annotations and provenance."""
    n, side = draw(st.integers(0, 5)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    classes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))

    def of_each(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.none() | st.lists(values, min_size=n, max_size=n)

    return sr.ImageDataset.from_arrays(
        rng.integers(0, 256, (n, side, side + 1, draw(st.sampled_from([1, 3]))), np.uint8),
        rng.integers(0, len(classes), n),
        class_names=classes,
        groups=draw(of_each(NAMES) | of_each(st.integers(-(2**63), 2**63 - 1))) if n else None,
        names=draw(of_each(NAMES)),
        synthetic=draw(st.booleans()),
        annotations={
            name: rng.random((n, *size)).astype(dtype)
            for name, size, dtype in draw(
                st.lists(
                    st.tuples(NAMES, st.sampled_from([(), (2,)]), st.sampled_from("fdi?")),
                    max_size=2,
                )
            )
        },
        skipped=[
            sr.SkippedFile(*pair) for pair in draw(st.lists(st.tuples(NAMES, NAMES), max_size=2))
        ],
        provenance=draw(st.dictionaries(NAMES, _PLAIN | st.lists(_PLAIN, max_size=2), max_size=3)),
        positive_class=draw(st.none() | st.sampled_from(classes)),
    )


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The content of a file after an accident; now and then it is what it was."""
    size = len(whole)
    places = sorted(draw(st.lists(st.integers(0, size), min_size=3, max_size=3)))
    start, middle, stop = places
    kind = draw(st.sampled_from(_DAMAGE))
    if kind == "flip":
        content = bytearray(whole)
        for place in draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3)):
            content[place] ^= draw(st.sampled_from([1, 2, 16, 128, 255]))
        return bytes(content)
    return {
        "cut": whole[:middle],
        "empty": b"",
        "double": whole + whole,
        "zero": whole[:start] + bytes(middle - start) + whole[middle:],
        "swap": whole[:start] + whole[middle:stop] + whole[start:middle] + whole[stop:],
        "insert": whole[:start] + whole[middle:stop] + whole[start:],
    }[kind]
