"""The package as a whole: its names, its imports, and the files that go with it."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

import synthray

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(synthray.__file__).parent

# What an environment without TensorFlow looks like: no finder knows the name.
HIDE_TENSORFLOW = """
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tf_keras"):
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""

USE_WITHOUT_TENSORFLOW = """
import synthray as sr

data = sr.make_phantoms(8, image_shape=(16, 16, 1), seed=0)
gan = sr.DCGAN((16, 16, 1), width=0.125, seed=0)
gan.fit(data, batch_size=4, epochs=1, verbose=0)
assert gan.sample(2, seed=0).shape == (2, 16, 16, 1)
assert len(data.to_py_dataset(4)) == 2
try:
    data.to_tf_dataset(4)
except ImportError:
    pass
else:
    raise SystemExit("to_tf_dataset worked without TensorFlow")
"""


def run_python(code: str, backend: str) -> None:
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def needs(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed (pip install -e '.[{backend}]')")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_all_is_sorted_and_exists() -> None:
    # As ruff sorts it (RUF022): constants, classes, the rest.
    by_kind = sorted(set(synthray.__all__), key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert synthray.__all__ == by_kind
    for name in synthray.__all__:
        assert hasattr(synthray, name), name


def test_all_is_complete() -> None:
    public = {
        name
        for name, value in vars(synthray).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public | {"__version__"} == set(synthray.__all__)


@pytest.mark.parametrize("name", [n for n in synthray.__all__ if not n.startswith("_")])
def test_public_name_is_documented(name: str) -> None:
    value = getattr(synthray, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), f"{name} has no docstring"
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    assert re.search(rf"^::: synthray\.{name}$", pages, re.MULTILINE), f"{name} has no API entry"


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_version_is_one() -> None:
    assert metadata.version("synthray") == synthray.__version__
    assert f"## [{synthray.__version__}]" in read("CHANGELOG.md")
    assert f"version: {synthray.__version__}" in read("CITATION.cff")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_import_leaves_tensorflow_alone(backend: str) -> None:
    needs(backend)
    code = "import sys, synthray; sys.exit('tensorflow' in sys.modules and 'imported TensorFlow')"
    run_python(code, backend)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_works_without_tensorflow(backend: str) -> None:
    needs(backend)
    run_python(HIDE_TENSORFLOW + USE_WITHOUT_TENSORFLOW, backend)


def test_nothing_imports_the_comparison_but_the_top() -> None:
    layers = ["datasets", "generators", "classifiers", "augmenter", "comparison"]
    allowed = {
        "datasets": {"datasets"},
        "generators": {"datasets", "generators"},
        "classifiers": {"datasets", "classifiers"},
        "augmenter": {"datasets", "generators", "augmenter"},
        "comparison": set(layers),
    }
    for layer in layers:
        for file in (PACKAGE / layer).rglob("*.py"):
            found = re.findall(
                r"^\s*(?:from|import) synthray\.(\w+)", file.read_text("utf-8"), re.M
            )
            used = {name for name in found if name in layers}
            if file.name == "synthetic_augmenter.py":
                used -= {"comparison"}  # its method `tune` is a door to the layer above
            assert used <= allowed[layer], f"{file} imports {used - allowed[layer]}"


def test_no_pickle() -> None:
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text("utf-8")
        assert not re.search(r"^\s*(import|from) (pickle|dill|joblib|marshal|shelve)", text, re.M)
        assert "allow_pickle=True" not in text
        assert "safe_mode=False" not in text


def test_readme_can_be_followed() -> None:
    readme = read("README.md")
    assert re.search(r"^```python\n.*^import synthray as sr$", readme, re.M | re.S)
    for needed in ("make demo", "make test", "pip install", "not for diagnosis"):
        assert needed in readme, needed
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme):
        assert (ROOT / picture).is_file(), picture


@pytest.mark.parametrize("page", ["README.md", "docs/experiment.md"])
def test_results_have_their_place(page: str) -> None:
    text = read(page)
    assert text.count("<!-- results:bone -->") == text.count("<!-- /results:bone -->") == 1


def test_licence_is_whole() -> None:
    licence = read("LICENSE")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
