"""The package as a whole: its names, its rooms, its imports, and the files that go with it."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tomllib
import types
from dataclasses import is_dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

import synthray

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
PACKAGE = SRC / "synthray"

BELOW_ALL = ("_digest", "_files", "_parts", "_progress", "_seeds", "_version", "exceptions")
# What each room may import besides itself and the files below all. "Judges" look at images only.
DATA = ("_keras", "statistics", "reports", "datasets")
JUDGES = (*DATA, "phantoms", "augmentation", "backbones", "duplicates", "classifiers", "evaluation")
ARROWS: dict[str, tuple[str, ...]] = {
    "_keras": (),
    "statistics": (),
    "reports": ("statistics",),
    "datasets": DATA[:3],
    "phantoms": DATA,
    "augmentation": DATA,
    "backbones": DATA,
    "duplicates": JUDGES[:7],
    "classifiers": JUDGES[:7],
    "evaluation": JUDGES[:-1],
    "callbacks": JUDGES,
    "generators": (*JUDGES, "callbacks"),
    "augmenter": (*JUDGES, "callbacks", "generators"),
    "comparison": (*JUDGES, "callbacks", "generators", "augmenter"),
    "__main__": ("cli",),
    "cli": (*JUDGES, "callbacks", "generators", "augmenter", "comparison"),
}
BACKENDS = ("tensorflow", "jax", "torch")
# Rooms that meet a user's own `tf.data.Dataset`.
MEETS_TF_DATA = ("datasets", "augmenter")
# Names that are not those of their distributions.
DISTRIBUTIONS = {"PIL": "pillow", "markupsafe": "jinja2", "skimage": "scikit-image"}
DISTRIBUTIONS |= {"sklearn": "scikit-learn"}

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


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def trees() -> dict[str, ast.Module]:
    """The syntax tree of each module, by its dotted name."""
    files = {".".join(f.relative_to(SRC).with_suffix("").parts): f for f in PACKAGE.rglob("*.py")}
    return {
        name.removesuffix(".__init__"): ast.parse(file.read_text(encoding="utf-8"))
        for name, file in sorted(files.items())
    }


def imports(tree: ast.AST) -> set[str]:
    """Dotted names that are imported anywhere in a module: in functions and for types too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str:
    return module.split(".")[1]


def imported_modules(module: str) -> set[str]:
    """The package's modules that a module imports; the top for what is in none of them."""
    known = trees()
    found = set()
    for target in imports(known[module]):
        while target and target not in known:
            target = target.rpartition(".")[0]
        found |= {target} - {"", module}
    return found


def test_all_is_sorted_and_complete() -> None:
    # As ruff sorts it (RUF022): constants, classes, the rest.
    by_kind = sorted(set(synthray.__all__), key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert synthray.__all__ == by_kind
    public = {
        name
        for name, value in vars(synthray).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public | {"__version__"} == set(synthray.__all__)


@pytest.mark.parametrize("name", [n for n in synthray.__all__ if not n.startswith("_")])
def test_public_name_is_documented_and_tested(name: str) -> None:
    value = getattr(synthray, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), f"{name} has no docstring"
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    assert re.search(rf"^::: synthray\.{name}$", pages, re.MULTILINE), f"{name} has no API entry"
    if inspect.isfunction(value) or (inspect.isclass(value) and not is_dataclass(value)):
        texts = (f.read_text("utf-8") for f in (ROOT / "tests").rglob("*.py"))
        assert any(re.search(rf"\b{name}\b", text) for text in texts), f"no test uses {name}"


def test_rooms_import_only_what_stands_below_them() -> None:
    wrong = []
    for module in trees().keys() - {"synthray"}:
        room = room_of(module)
        assert room in (*ARROWS, *BELOW_ALL), f"{module}: say in ARROWS what it may import"
        allowed = {room, *BELOW_ALL, *ARROWS.get(room, ())}
        for target in imported_modules(module):
            if target == "synthray" or room_of(target) not in allowed:
                wrong.append(f"{module} imports {target}")
    assert sorted(wrong) == []


def test_no_import_circle() -> None:
    graph = {module: imported_modules(module) for module in trees()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import circle: {' <- '.join(error.args[1])}")


def test_backends_differ_in_one_room() -> None:
    wrong = []
    for module, tree in trees().items():
        room = module if module == "synthray" else room_of(module)
        if room == "_keras":
            continue
        packages = {name.partition(".")[0] for name in imports(tree)} & set(BACKENDS)
        if room in MEETS_TF_DATA:
            packages.discard("tensorflow")
        wrong += [f"{module} imports {package}" for package in packages]
        if "backend.backend(" in ast.unparse(tree) or "config.backend(" in ast.unparse(tree):
            wrong.append(f"{module} asks for the backend")
    assert sorted(wrong) == []


def test_public_functions_take_twelve_parameters_at_most() -> None:
    wide = []
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            if node.name == "__init__" or not node.name.startswith("_"):
                a = node.args
                names = {x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)}
                if len(names - {"self", "cls"}) > 12:
                    wide.append(f"{module}:{node.lineno} {node.name}")
    assert wide == []


def test_dependencies_are_those_imported() -> None:
    used = set()
    for tree in trees().values():
        used |= {name.partition(".")[0] for name in imports(tree)}
    project = tomllib.loads(read("pyproject.toml"))["project"]
    used -= {*sys.stdlib_module_names, "synthray", *project["optional-dependencies"]}
    declared = {re.split("[<>=]", text)[0] for text in project["dependencies"]}
    assert {DISTRIBUTIONS.get(name, name) for name in used} == declared


def test_nothing_unsafe_is_loaded() -> None:
    unsafe = {"cloudpickle", "dill", "marshal", "pickle", "shelve", "joblib.load"}
    for module, tree in trees().items():
        assert not imports(tree) & unsafe, module
        text = ast.unparse(tree)
        for call in ("allow_pickle=True", "safe_mode=False", "joblib.load("):
            assert call not in text, f"{module}: {call}"


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_version_is_one() -> None:
    assert metadata.version("synthray") == synthray.__version__
    assert f"## [{synthray.__version__}]" in read("CHANGELOG.md")
    assert f"version: {synthray.__version__}" in read("CITATION.cff")


def test_readme_can_be_followed() -> None:
    readme = read("README.md")
    assert re.search(r"^```python\n.*^import synthray as sr$", readme, re.M | re.S)
    for needed in ("make demo", "make test", "pip install", "not for diagnosis"):
        assert needed in readme, needed
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme):
        assert (ROOT / picture).is_file(), picture


def test_licence_is_whole() -> None:
    licence = read("LICENSE")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_works_without_tensorflow(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed (pip install -e '.[{backend}]')")
    # Before TensorFlow is hidden: an import of the library leaves it alone.
    alone = "import sys, synthray; assert 'tensorflow' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", alone + HIDE_TENSORFLOW + USE_WITHOUT_TENSORFLOW],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
