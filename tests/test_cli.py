"""The command `synthray`, in this process."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.image_trees import LEAKY, TEXTURES, write_tree
from helpers.tiny import TinyGAN
from synthray import (
    R3GAN,
    ComparisonResult,
    ImageDataset,
    SyntheticAugmenter,
    __version__,
    cli,
)
from synthray.datasets.image_folder import load_image_folder
from synthray.exceptions import SynthrayWarning

COMMANDS = ("audit", "train", "sample", "compare")


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
        (["train", "."], "--out"),
        (["train", ".", "--out", "x", "--generator", "mine"], "projected"),
        (["compare", ".", "--arms", "mine"], "warm_start"),
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
        ("audit {folder}/nowhere", "nowhere"),
        ("audit {folder}/not-an.npz", "not-an.npz"),
        ("audit {folder}/empty", "unlabelled"),
        ("audit {tree} --groups nowhere.csv", "nowhere.csv"),
        ("audit {tree} --html {folder}/not-an.npz/page.html", "not-an.npz"),
        ("train {tree} --out {folder}/new --preset {folder}/empty", "config.json"),
        ("train {tree} --out {folder}/new --size 0", "image_shape"),
        ("train {folder}/not-an.npz --out {folder}/new --labels a.csv file label", "--labels"),
        ("sample {folder}/empty --out {folder}/new", "manifest.json"),
        ("compare {folder}/empty", "subfolder"),
    ],
)
def test_what_cannot_run(
    arguments: str,
    words: str,
    tree: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "not-an.npz").write_text("text")
    texts = [text.format(folder=tmp_path, tree=tree) for text in arguments.split()]
    assert cli.main(texts) == 2
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

    @pytest.mark.slow
    def test_the_set_of_the_experiment(
        self, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page, table = tmp_path / "leaks.html", tmp_path / "groups.csv"
        options = ["--html", str(page), "--csv", str(table), "--fail-on", "leak"]
        assert cli.main(["audit", str(shared_data / "bone-fracture-160"), *options]) == 1
        assert "of 500 test images (98." in capsys.readouterr().out.split("\n\n")[0]
        assert page.stat().st_size < 5e6
        assert len(table.read_text(encoding="utf-8").splitlines()) == 1 + 10_562


class Result:
    """What no training gave."""

    def to_html(self, path: str) -> None:
        pass

    save = to_html


class TestTraining:
    def test_train_and_sample(
        self,
        tree: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setitem(cli._GENERATORS, "dcgan", TinyGAN)
        out = tmp_path / "generators"
        train = f"train {tree} --out {out} --generator dcgan --size 16 --epochs"
        for epochs in (1, 2):  # the second goes on
            assert cli.main([*train.split(), str(epochs)]) == 0
        augmenter = SyntheticAugmenter.load(out)
        assert augmenter.n_train_ == {"healthy": 2, "ill": 2}  # nothing of the other splits
        assert [len(h["loss"]) for h in augmenter.histories_.values()] == [2, 2]
        assert (tmp_path / "generators-work").is_dir()
        made = tmp_path / "made"
        assert cli.main(["sample", str(out), "--n", "6", "--out", str(made), "--seed", "1"]) == 0
        assert f"written: {made}" in capsys.readouterr().out
        with pytest.warns(SynthrayWarning, match="6 of 6 images"):
            assert len(load_image_folder(made, (16, 16, 1))) == 6

    @pytest.mark.filterwarnings("always:LEAKAGE")
    def test_compare(self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page, numbers = tmp_path / "page.html", tmp_path / "result.json"
        options = f"--size 32 --arms original --epochs 1 --html {page} --json {numbers}"
        assert cli.main(["compare", str(tree), *options.split()]) == 0
        captured = capsys.readouterr()
        assert "LeakageWarning: LEAKAGE: 2 of 4 test images" in captured.err
        assert "original" in captured.out
        assert "comparison by synthray" in page.read_text(encoding="utf-8")
        assert len(ComparisonResult.load(numbers).labels) == 4
        assert (tmp_path / "page-work").is_dir()

    @pytest.mark.parametrize(
        ("paths", "trained", "judged"),
        [
            ("{tree}", "train", "test"),
            ("{tree} --test {tree}/val", "train", "val"),
            ("{tree}/val --test {tree}", "val", "test"),
            ("{tree}/train", "train", None),
        ],
    )
    def test_what_trains_and_what_judges(
        self,
        paths: str,
        trained: str,
        judged: str | None,
        tree: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        calls: list[tuple[ImageDataset, ImageDataset | None, dict[str, Any]]] = []

        def run(data: ImageDataset, test: ImageDataset | None, **options: Any) -> Result:
            calls.append((data, test, options))
            return Result()

        monkeypatch.setattr(cli, "run_comparison", run)
        options = f"--seeds 3 --folds 2 --generator r3gan --channels 3 --html {tmp_path}/page.html"
        assert cli.main(["compare", *f"{paths} {options}".format(tree=tree).split()]) == 0
        ((data, test, given),) = calls
        images = load_image_folder(tree, (64, 64, 3))
        assert isinstance(images, dict)
        np.testing.assert_array_equal(data.images, images[trained].images)
        assert (test is None) == (judged is None)
        if test is not None and judged is not None:
            np.testing.assert_array_equal(test.images, images[judged].images)
        assert (given["seeds"], given["cv"]) == (range(3), 2)
        assert given["augmenter"].generator is R3GAN

    def test_npz_and_groups(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found: list[ImageDataset] = []

        def run(data: ImageDataset, test: None, **options: Any) -> Result:
            found.append(data)
            return Result()

        monkeypatch.setattr(cli, "run_comparison", run)
        names = np.array([f"{k}.png" for k in range(8)])
        np.savez(tmp_path / "a.npz", images=TEXTURES, labels=np.arange(8) % 2, filename=names)
        rows = [f"{name},{k // 2}" for k, name in enumerate(names)]
        (tmp_path / "who.csv").write_text("\n".join(["file,who", *rows]))
        options = (
            f"--groups {tmp_path}/who.csv --group-column who --size 16 --html {tmp_path}/p.html"
        )
        assert cli.main(["compare", str(tmp_path / "a.npz"), *options.split()]) == 0
        assert found[0].image_shape == (16, 16, 1)
        assert found[0].group_codes.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]

    def test_a_split_that_is_not_there(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = {f"{split}/{k % 2}/{k}.png": k for k in range(4) for split in ("val", "test")}
        write_tree(tmp_path, files)
        assert cli.main(["train", str(tmp_path), "--out", str(tmp_path / "new")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "split called train or training" in line
        assert "test, val" in line


def test_an_interrupt(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "audit_images", stop)
    assert cli.main(["audit", str(tree)]) == 130


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["synthray", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("synthray", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == __version__
