"""Benchmarks run, compare like with like, and the pages tell what they measured."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import synthray as sr

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
STARTS = ("from scratch", "fine-tuned")
KEYS = {"command", "seed", "commit", "versions", "machine", "values"}


def script(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module


def test_tables_are_what_the_raw_results_give() -> None:
    done = script("tables", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_table_can_be_filled(load: Any) -> None:
    tables = load("benchmarks.tables.__main__")
    page = "".join(f"<!-- results:{n} -->\nold\n<!-- /results:{n} -->\n" for n in tables.TABLES)
    filled = tables.fill(page)
    assert "old\n" not in filled
    assert tables.fill(filled) == filled


@pytest.mark.parametrize(
    "page", ["<!-- results:other -->\n\n<!-- /results:other -->\n", "<!-- results:bone -->\n"]
)
def test_a_block_without_filler_or_end_is_an_error(load: Any, page: str) -> None:
    with pytest.raises(SystemExit, match=r"filler|end"):
        load("benchmarks.tables.__main__").fill(page)


def test_raw_results_say_what_made_them_and_are_small() -> None:
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20e6  # 12 MB of them images
    for path in files:
        assert path.stat().st_size < 2e6, path.name
        if path.suffix == ".json":
            assert set(json.loads(path.read_text())) == KEYS, path.name
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                if path.parent.name == "generators":
                    assert arrays["images"].dtype == np.uint8
                else:
                    assert arrays["scale"] >= 1000


def test_the_runner_lists_rows_that_exist(load: Any) -> None:
    done = script("run", "--list")
    assert done.returncode == 0, done.stderr
    rows = load("benchmarks.run").ROWS
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(rows)
    for name, row in rows.items():
        assert (ROOT / "benchmarks" / "rows" / f"{row.module or name}.py").is_file()


def test_competitors_take_turns_and_ratios_are_taken_within_a_round(load: Any) -> None:
    timing = load("benchmarks.rows.timing")
    order: list[str] = []

    def work(name: str) -> float:
        order.append(name)
        return float(len(order))

    seconds = timing.take_turns({name: lambda name=name: work(name) for name in "abc"}, 3)
    assert "".join(order) == "abccbaabc"
    assert seconds == {"a": [1.0, 6.0, 7.0], "b": [2.0, 5.0, 8.0], "c": [3.0, 4.0, 9.0]}
    ratios = timing.times_as_fast({"ours": [1.0, 2.0, 4.0], "peer": [3.0, 4.0, 4.0]})
    assert ratios == {"peer": {"median": 2.0, "low": 1.0, "high": 3.0}}


def test_scores_of_single_images_keep_three_digits(load: Any, tmp_path: Path) -> None:
    records = load("benchmarks.records")
    records.write_probabilities(tmp_path / "some.npz", [[0.12345, 1.0]], labels=np.arange(2))
    with np.load(tmp_path / "some.npz") as arrays:
        assert arrays["probabilities"].tolist() == [[123, 1000]]
    assert records.rounded({"a": [0.123456789, 1]}) == {"a": [0.123457, 1]}


def test_peers_are_judged_by_their_pairs_and_by_the_clusters_of_these(load: Any) -> None:
    row = load("benchmarks.rows.peers_duplicates")
    truth = np.array([0, 0, 0, 1, 1])
    chain = row.as_pairs([("000001.png", "000000.png"), ("here/000001.png", "000002.png")] * 2)
    assert chain.tolist() == [[0, 1], [1, 2]]
    found = row.both_ways(chain, truth)
    assert found["pairs"] == {"pair_precision": 1.0, "pair_recall": 0.5, "f1": 0.66667}
    assert found["clusters"] == {"pair_precision": 1.0, "pair_recall": 0.75, "f1": 0.85714}
    wrong = row.both_ways(np.array([[0, 1], [2, 3]]), truth)
    assert wrong["pairs"] == {"pair_precision": 0.5, "pair_recall": 0.25, "f1": 0.33333}
    nothing = row.both_ways(chain[:0], truth)
    assert {each["pair_recall"] for each in nothing.values()} == {0.0}


def test_weights_of_measures_are_fitted(load: Any) -> None:
    row = load("benchmarks.rows.pair_model")
    rng = np.random.default_rng(0)
    found = rng.normal(size=(20_000, 2))
    # Copies are drawn with known odds; the fit lets them count as a tenth of all pairs.
    odds = 1.0 + 2.0 * found[:, 0] - 1.5 * found[:, 0] * found[:, 1]
    same = rng.random(len(found)) < expit(odds)
    share = same.mean()
    offset = np.log(row.COPIES / share) - np.log((1 - row.COPIES) / (1 - share))
    weights = row.fitted(found, same)
    np.testing.assert_allclose(weights, [1 + offset, 2, 0, 0, -1.5, 0], atol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [
        *("dcgan_step", "projected_step", "comparison_fits", "features", "generators", "judge"),
        "public_sets",
    ],
)
def test_rows_run(row: str, tmp_path: Path) -> None:
    done = script("run", "--quick", "--only", row, "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.rglob("*.json")  # beside it there may be images
    record = json.loads(path.read_text())
    assert set(record) == KEYS
    assert record["seed"] == 0
    for ratio in record["values"].get("ratios", {}).values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    if row.endswith("_step"):
        assert max(record["values"]["agreement"]["largest_difference"].values()) < 1e-4


@pytest.mark.slow
def test_a_preset_is_made_from_what_is_seen(tmp_path: Path) -> None:
    words = ["rows.presets", "limbs_64", "--quick", "--epochs", "1", "--out", str(tmp_path)]
    words += ["--workdir", str(tmp_path / "work"), "--preset", str(tmp_path / "preset")]
    done = script(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "presets" / "limbs_64.json"
    values = json.loads(path.read_text())["values"]
    (run,) = values["runs"]
    assert [look["epoch"] for look in run["curve"]] == [1]
    assert 0 < len(values["unseen_groups"]) < run["images"] < run["images_seen"]
    # It goes on from its own preset.
    again = script(*words[:-4], "--start", words[-1], *words[-2:], "--workdir", f"{words[-3]}2")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(json.loads(path.read_text())["values"]["runs"]) == 2
    card = (tmp_path / "preset" / "README.md").read_text()
    assert "FracAtlas" in card
    assert f"Images seen in training: {2 * run['images_seen']}" in card
    assert sr.ProjectedGAN.from_preset(tmp_path / "preset").sample(2, seed=0).shape[0] == 2


@pytest.mark.slow
def test_a_preset_is_compared_with_a_start_from_scratch(tmp_path: Path) -> None:
    done = script("rows.fine_tuning", "limbs_64", "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    values = json.loads((tmp_path / "fine_tuning" / "limbs_64_phantoms_20.json").read_text())
    (run,) = values["values"]["runs"]
    assert set(run["images"].values()) == {20}
    assert all(np.isfinite(run[name]["scores"]["synthetic"]["kid"]) for name in STARTS)


@pytest.mark.slow
def test_the_leak_of_the_official_split(shared_data: Path, tmp_path: Path) -> None:
    words = ("--only", "leak", "--data", str(shared_data), "--out", str(tmp_path))
    done = script("run", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    found, known = (
        json.loads((folder / "leak.json").read_text())["values"] for folder in (tmp_path, RESULTS)
    )
    assert {key: found[key] for key in found if key in known} == {
        key: known[key] for key in known if key in found
    }
    assert found["unreadable_files"] == 18


@pytest.mark.slow
def test_other_libraries_look_for_the_same_copies(shared_data: Path, tmp_path: Path) -> None:
    words = ("--quick", "--only", "peers_duplicates", "--data", str(shared_data))
    done = script("run", *words, "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "peers_duplicates.json"
    if not path.exists():  # the row says which library is not installed
        pytest.skip(next(line for line in done.stdout.splitlines() if line.startswith("skipped")))
    record = json.loads(path.read_text())
    assert {"imagededup", "cleanvision"} <= set(record["versions"])
    for found in record["values"]["planted"]:
        peers = {"PHash", "DHash", "AHash", "WHash", "CNN, our backbone", "cleanvision"}
        assert {"ours", *peers} <= set(found["methods"])
        assert found["methods"]["ours"]["pair_precision"] > 0.95
        for name in peers & set(found["methods"]):
            assert 0 <= found["methods"][name]["default"]["f1"] <= 1
