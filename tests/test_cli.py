"""The command `synthray`, in this process."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from helpers.image_trees import LEAKY, write_tree
from synthray import __version__, cli
from synthray.datasets.image_folder import load_image_folder

COMMANDS = ("audit",)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("leaky"), LEAKY)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_screen(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*command.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert end.value.code == 0
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    if not command:
        assert all(any(line.split()[:1] == [name] for line in lines) for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["no-such-command"], "no-such-command"),
        (["audit"], "PATH"),
        (["audit", ".", "--fail-on", "nothing"], "--fail-on"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{folder}/nowhere"], "nowhere"),
        (["{folder}/not-an.npz"], "not-an.npz"),
        (["{folder}/empty"], "unlabelled"),
        (["{tree}", "--groups", "nowhere.csv"], "nowhere.csv"),
        (["{tree}", "--html", "{folder}/not-an.npz/page.html"], "not-an.npz"),
    ],
)
def test_what_cannot_run(
    arguments: list[str],
    words: str,
    tree: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "not-an.npz").write_text("text")
    arguments = [text.format(folder=tmp_path, tree=tree) for text in arguments]
    assert cli.main(["audit", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("synthray: ")
    assert words in line


class TestAudit:
    def test_all_that_is_written(
        self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = {kind: tmp_path / f"audit.{kind}" for kind in ("html", "csv", "json")}
        options = [text for kind, path in files.items() for text in (f"--{kind}", str(path))]
        assert cli.main(["audit", str(tree), *options]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("LEAK: 2 of 4 test images")
        assert all(f"written: {path}" in out for path in files.values())
        assert err == ""
        assert files["html"].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        assert json.loads(files["json"].read_text(encoding="utf-8"))["n_clusters"] == 8
        loaded = load_image_folder(tree, groups=(files["csv"], "group"))
        assert isinstance(loaded, dict)
        assert {data.groups is None for data in loaded.values()} == {False}

    @pytest.mark.parametrize(
        ("split", "what", "code"),
        [
            ("", "leak", 1),
            ("", "conflict", 1),
            ("val", "leak", 0),
            ("val", "conflict", 1),
            ("train", "conflict", 0),
            ("train", "any", 0),
            ("val", "any", 1),
        ],
    )
    def test_fail_on(self, tree: Path, split: str, what: str, code: int) -> None:
        assert cli.main(["audit", str(tree / split), "--fail-on", what]) == code

    def test_its_own_csv_is_taken_for_groups(
        self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        table = str(tmp_path / "groups.csv")
        assert cli.main(["audit", str(tree), "--csv", table]) == 0
        assert cli.main(["audit", str(tree), "--groups", table]) == 0
        assert "2 share a group with train" in capsys.readouterr().out

    def test_a_test_set_and_no_classes(
        self, tree: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        paths = [str(tree / "train"), "--test", str(tree / "test")]
        assert cli.main(["audit", *paths, "--classes", "--fail-on", "conflict"]) == 0
        assert "2 of 4 test images" in capsys.readouterr().out


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["synthray", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("synthray", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == __version__
