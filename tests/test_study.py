"""The study of what synthetic images add: its parts, and all of it at a tiny size."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import synthray as sr

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The scripts, in an empty folder, without effects on this process."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["study"])

    class Study:
        arms: Any = importlib.import_module("study.arms")
        cells: Any = importlib.import_module("study.cells")
        classifiers: Any = importlib.import_module("study.classifiers")
        generate: Any = importlib.import_module("study.generate")
        run: Any = importlib.import_module("study.run")
        sources: Any = importlib.import_module("study.sources")
        elsewhere: Any = importlib.import_module("study.elsewhere")
        analyse: Any = importlib.import_module("study.analyse")
        tables: Any = importlib.import_module("study_tables")
        headline: Any = importlib.import_module("study_headline")
        curves: Any = importlib.import_module("study_curves")

    for module in (Study.generate, Study.elsewhere, Study.run):
        monkeypatch.setattr(module, "one_thread", lambda: None)
    return Study


@pytest.fixture(scope="module")
def phantoms() -> sr.ImageDataset:
    return sr.make_phantoms(200, image_shape=(32, 32, 1), seed=0)


def test_sizes_are_nested_and_keep_groups_and_shares(study: Any, phantoms: sr.ImageDataset) -> None:
    few, more = (study.cells.first_groups(phantoms, size, seed=3) for size in (10, 30))
    assert (more | ~few).all()
    for mask, size in ((few, 10), (more, 30)):
        chosen = phantoms.select(mask)
        assert len(np.unique(chosen.group_codes)) == size
        rest = phantoms.select(~mask)
        assert not set(np.asarray(chosen.groups)) & set(np.asarray(rest.groups))
        assert abs(chosen.labels.mean() - phantoms.labels.mean()) < 0.15


def test_every_arm_takes_the_same_steps_and_ends_slowly(study: Any) -> None:
    runs = [*study.arms.CLASSIC, *study.arms.R3GAN, *study.arms.OTHERS]
    runs += study.arms.TRUTH
    arms = [arm for run in runs for arm in run.arms]
    assert len({arm.name for arm in arms}) == len(arms)
    for run in (*study.arms.SHARED, *study.arms.ELSEWHERE):
        arms += run.arms
    for arm in arms:
        phases = list(arm)
        assert sum(phase.share for phase in phases) == pytest.approx(1)
        assert phases[-1].share == 0.25
        assert phases[-1].rate == pytest.approx(0.1 * phases[-2].rate)
    planned = {arm.name for arm in arms} | {"best-classic", "best-synthetic", "best-others"}
    for controls in (study.arms.CONTROLS, study.arms.OTHERS_CONTROLS):
        assert set(controls) | set(controls.values()) <= planned
    assert {name for names in study.arms.CANDIDATES.values() for name in names} <= planned
    text = (ROOT / "benchmarks" / "study" / "PLAN.md").read_text()
    for name in ("warm-start-new-head", "soft-real", "apart", "hard", "deck-warm-start"):
        assert f"`{name}`" in text


def test_ratios_are_cut_to_what_there_is(study: Any) -> None:
    arm = study.arms.mixed("mixed-4", 4.0)
    assert [p.ratio for p in study.arms.affordable(arm, 100, 250)] == [2.5, 2.5]
    assert [p.ratio for p in study.arms.affordable(arm, 100, 400)] == [4.0, 4.0]


def test_the_residual_network_is_as_large_as_planned(study: Any) -> None:
    model = study.classifiers.residual(num_classes=2, image_shape=(64, 64, 1), seed=0)
    assert 150_000 < model.count_params() < 230_000


def test_choices_are_made_on_validation_images_alone(study: Any) -> None:
    labels = [0, 1] * 10
    good, bad = [2_000, 8_000] * 10, [8_000, 2_000] * 10

    def fold(number: int) -> dict[str, Any]:
        fits = [
            {"arm": "original", "seed": 0, "validation": good, "test": bad},
            {"arm": "classic-1", "seed": 0, "validation": bad, "test": good},
            {"arm": "synthetic-only", "seed": 0, "validation": good, "test": good},
            {"arm": "mixed-1", "seed": 0, "validation": bad, "test": good},
        ]
        for fit in fits:
            fit |= {"phase_steps": [3, 1], "seconds": 1.0}
        return {
            "fold": number,
            "fits": fits,
            "probability_scale": 10_000,
            "validation_labels": labels,
            "test_labels": labels,
            "test_groups": list(range(20 * number, 20 * number + 20)),
            "training_images": {"a": 10, "b": 10},
            "class_names": ["a", "b"],
            "pools": {},
        }

    found = study.analyse.analyse([fold(1), fold(0)])
    assert found["folds"] == [0, 1]
    assert found["chosen"]["best-classic"] == ["original"] * 2
    assert found["chosen"]["best-synthetic"] == ["original"] * 2
    auc = found["statistics"]["auc"]
    assert auc["intervals"]["best-classic"]["auc"]["value"] == 0.0
    assert auc["differences"]["classic-1"]["difference"] == 1.0
    assert found["controls"]["auc"]["mixed-1"]["difference"] == 0.0
    assert found["above"]["classic-1"] == [2, 2]
    assert found["above"]["best-synthetic"] == [0, 2]
    assert "above `best-classic` in 0 of 2 pairs" in study.tables.note(found)


def test_the_worth_of_real_images_is_told_on_the_same_test_images(
    study: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labels = [0, 1] * 10
    scores = {"no": [8_000, 2_000] * 10, "half": [5_000] * 20, "yes": [2_000, 8_000] * 10}

    def fold(size: int | None, number: int, **test: str) -> dict[str, Any]:
        fits = [
            {"arm": arm, "seed": 0, "validation": scores[found], "test": scores[found]}
            | {"phase_steps": [3, 1], "seconds": 1.0}
            for arm, found in test.items()
        ]
        return {
            "fold": number,
            "size": size,
            "fits": fits,
            "probability_scale": 10_000,
            "validation_labels": labels,
            "test_labels": labels,
            "test_rows": list(range(20 * number, 20 * number + 20)),
            "test_groups": list(range(20 * number, 20 * number + 20)),
            "training_images": {"a": size or 400, "b": 10},
            "class_names": ["a", "b"],
            "pools": {},
        }

    folds = range(2)
    parts = {
        "deck/phantoms_all": [fold(None, k, original="yes") for k in folds],
        "deck/phantoms_50": [fold(50, k, original="no", mixed="half") for k in folds],
        "deck/phantoms_100": [fold(100, k, original="half") for k in (*folds, 2)],
        "deck/bone_all": [fold(None, 0, original="yes")],
        "deck/phantoms-shared_50": [fold(50, 0, original="no", mixed="yes")],
        "deck/phantoms-shared_100": [fold(100, 0, original="half")],
    }
    found = study.analyse.curves(parts)
    assert list(found) == ["deck/phantoms"]
    curve = found["deck/phantoms"]
    assert curve["folds"] == [0, 1]  # which all sizes have
    assert list(curve["intervals"]) == ["50", "100", "all"]
    assert [each["value"] for each in curve["intervals"].values()] == [0.0, 0.5, 1.0]
    assert {s: each["difference"] for s, each in curve["steps"].items()} == {"100": 0.5, "all": 0.5}
    assert curve["training_images"]["50"] == [60, 60]

    for name, values in (("curves", found), ("analysis", {})):
        if name == "analysis":
            values = {part: study.analyse.analyse(files) for part, files in parts.items()}
        raw: dict[str, Any] = {"values": values}
        (tmp_path / f"{name}.json").write_text(json.dumps(raw))
    monkeypatch.setattr(study.tables, "ANALYSIS", tmp_path / "analysis.json")
    monkeypatch.setattr(study.curves, "CURVES", tmp_path / "curves.json")
    lines = study.curves.table().splitlines()
    assert "| phantoms | 50 | 60 | 0.000" in lines[2]
    own, of_more = (f"+{v} [+{v}, +{v}] (`best-synthetic`)" for v in ("0.500", "1.000"))
    assert lines[2].endswith(f"| {own} | {of_more} |  |")  # by images of either generator
    assert "| +0.500" in lines[3]
    # There is no arm with drawn images there.
    assert lines[4].endswith("| +0.500 [+0.500, +0.500] |  |  |  |")
    monkeypatch.setattr(study.curves, "OF_ANOTHER", {"phantoms": study.curves.SHARED})
    assert study.curves.table().splitlines()[2].endswith(f"| {own} | {of_more} | {of_more} |")
    study.curves.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    parts["deck/phantoms_50"][0]["test_rows"][0] += 1
    with pytest.raises(SystemExit, match="judged by different images"):
        study.analyse.curves(parts)


def test_the_headline_has_both_generators(
    study: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(study.tables, "ANALYSIS", tmp_path / "analysis.json")

    def told(best: float, alone: float) -> dict[str, Any]:
        found = {"low": -0.1, "high": 0.1, "verdict": "cannot be told apart"}
        differences = {
            arm: {**found, "difference": each}
            for arm, each in (("best-synthetic", best), ("mixed-1", 0.01))
        }
        scores = {"best-classic": 0.75, "synthetic-only": alone}
        statistics = {
            metric: {
                "differences": differences,
                "intervals": {arm: {metric: {"value": v}} for arm, v in scores.items()},
            }
            for metric in ("auc", "balanced_accuracy")
        }
        chosen = {"best-classic": ["original"] * 2, "best-synthetic": ["original", "mixed-1"]}
        return {
            "folds": [0, 1],
            "seeds": [0],
            "statistics": statistics,
            "chosen": chosen,
            "training_images": [{"a": 40, "b": 60}, {"a": 50, "b": 52}],
            "above": {"best-synthetic": [1, 2]},
        }

    parts = {"deck/fracatlas_all": told(0.002, 0.6)}
    for larger in (False, True):
        if larger:
            parts["deck/fracatlas-base_all"] = told(0.004, 0.7)
        (tmp_path / "analysis.json").write_text(json.dumps({"values": parts}))
        text = study.headline.primary()
        assert "AUC 0.750 without synthetic images, +0.002 [-0.100, +0.100] with them" in text
        assert "in 1 of 2 folds." in text
        assert ("on a GPU: +0.004 [-0.100, +0.100] AUC" in text) == larger
        assert text.endswith("has 0.700." if larger else "folds.")
    parts["deck/fracatlas-shared_100"] = told(0.08, 0.7)
    parts["residual/fracatlas_50"] = told(0.01, 0.7)
    parts["deck/bone-from-fracatlas_100"] = told(-0.01, 0.7)
    parts["deck/bone_100"] = told(-0.01, 0.7) | {"above": {}}  # no arm with drawn images yet
    (tmp_path / "analysis.json").write_text(json.dumps({"values": parts}))
    lines = study.headline.table().splitlines()[2:-2]
    assert [line.split(" | ")[2:] for line in lines] == [
        [f"101 of {data}", "0.750", f"{value} [-0.100, +0.100]", "1 of 2", "no |"]
        for data, value in (
            ("FracAtlas", "+0.002"),
            ("FracAtlas", "+0.010"),
            ("FracAtlas", "+0.004"),
            ("FracAtlas", "+0.080"),
            ("the slides' bone set", "-0.010"),
        )
    ]
    assert lines[1].startswith("| the classifier's own radiographs | the residual network | ")
    assert lines[3].startswith("| more patients of the same set | ")
    assert study.tables.set_name("bone-from-fracatlas").endswith(", `R3GAN` of FracAtlas")


def test_an_arm_that_a_fold_lacks_is_named(study: Any) -> None:
    fit = {"seed": 0, "validation": [1], "test": [1]}
    values = [
        {"fold": 0, "fits": [{"arm": "original", **fit}, {"arm": "soft", **fit}]},
        {"fold": 1, "fits": [{"arm": "original", **fit}]},
    ]
    cells = study.analyse.Cells(values)
    assert list(cells.fits) == ["original"]
    assert cells.incomplete == ["soft"]


def test_images_of_a_generator_that_has_seen_more_than_the_classifier(
    study: Any,
    phantoms: sr.ImageDataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(study.cells, "load", lambda name, path: phantoms)
    monkeypatch.setattr(study.cells, "SIZES", (10, None))
    monkeypatch.setattr(sr, "find_duplicates", lambda data, verbose: np.arange(len(data)))
    monkeypatch.setattr(study.run, "RESULTS", tmp_path)
    pool = study.cells.pool_path("phantoms", None, 0, "R3GAN-base")
    pool.parent.mkdir(parents=True)
    np.savez(pool, images=np.zeros((6, 32, 32, 1), np.uint8), labels=np.repeat([0, 1], 3))
    asked = []

    def compute(run: Any, cut: Any, drawn: Any, args: Any, seeds: list[int]) -> list[Any]:
        asked.append((len(np.unique(cut.train.groups)), None if drawn is None else len(drawn)))
        return [{"arm": arm.name, "seed": seed} for arm in run.arms for seed in seeds]

    def keep_four(drawn: Any, train: Any, **options: Any) -> Any:
        filtered_by.append(len(train))
        kept = np.array([True, True, False, True, True, False])
        return SimpleNamespace(kept=kept, reasons={"easy": ~kept & False})

    filtered_by: list[int] = []  # by all that the generator has seen
    monkeypatch.setattr(sr, "filter_samples", keep_four)
    monkeypatch.setattr(study.run, "compute", compute)
    words = ["--set", "phantoms", "--folds", "0", "--seeds", "1"]
    study.run.main([*words, "--sizes", "10", "--arms", "original", "classic-1"])
    study.run.main([*words, "--sizes", "10", "--shared"])
    found = json.loads((tmp_path / "deck" / "phantoms-shared_10_fold0.json").read_text())["values"]
    arms = [fit["arm"] for fit in found["fits"]]
    assert arms[:2] == ["original", "classic-1"]  # of the same real images, not trained again
    assert arms[2:7] == ["mixed-1", "mixed-4", "mixed-16", "warm-start", "synthetic-only"]
    assert all(arm.endswith("-filtered") for arm in arms[7:])
    assert found["pools"] == {pool.stem: 6, f"{pool.stem}filter": 4}
    assert asked == [(10, None), (10, 6), (10, 4)]
    assert filtered_by == [
        len(study.cells.split(study.cells.whole("phantoms", None), 0, None).train)
    ]
    with pytest.raises(SystemExit, match="of all groups there are no others"):
        study.run.main([*words, "--shared"])


def test_images_of_another_sets_generator_and_those_radiographs_themselves(
    study: Any,
    phantoms: sr.ImageDataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    names = phantoms.class_names
    new = sr.make_phantoms(30, image_shape=(32, 32, 1), seed=1)
    donor = sr.ImageDataset.from_arrays(
        np.concatenate([new.images, phantoms.images[:5]]),  # five radiographs are in both sets
        1 - np.concatenate([new.labels, phantoms.labels[:5]]),
        class_names=names[::-1],
    )
    sets = {"phantoms": phantoms, "bone": donor}
    for module in (study.cells, study.elsewhere):
        monkeypatch.setattr(module, "load", lambda name, path: sets[name])
    monkeypatch.setattr(study.cells, "SIZES", (10, None))
    for module in (study.run, study.elsewhere):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    learnt, asked = [], []

    def one_a_class(kind: str, train: Any, n: int, *rest: Any, **more: Any) -> Any:
        learnt.append(train)
        return [np.full((n, 32, 32, 1), label, np.uint8) for label in (0, 1)], []

    def compute(run: Any, cut: Any, drawn: Any, args: Any, seeds: list[int]) -> list[Any]:
        asked.append(drawn)
        return [{"arm": arm.name, "seed": seed} for arm in run.arms for seed in seeds]

    def keep_all(drawn: Any, known: Any, **options: Any) -> Any:
        learnt.append(known)
        kept = np.ones(len(drawn), bool)
        return SimpleNamespace(kept=kept, reasons={"easy": ~kept})

    monkeypatch.setattr(study.elsewhere, "one_a_class", one_a_class)
    monkeypatch.setattr(study.run, "compute", compute)
    monkeypatch.setattr(sr, "filter_samples", keep_all)
    words = ["--set", "phantoms", "--from", "bone"]
    study.elsewhere.main([*words, "--pool", "4"])
    assert learnt[0].class_names == names
    assert len(learnt[0]) == len(new)
    for label, name in enumerate(names):
        own = {image.tobytes() for image in learnt[0].images[learnt[0].labels == label]}
        assert own == {image.tobytes() for image in new.by_class()[name].images}
    raw = json.loads((tmp_path / "elsewhere" / "phantoms-from-bone.json").read_text())["values"]
    assert raw["pool"] == [4, 4]
    assert raw["training_images"] == new.class_counts
    study.elsewhere.main(words)  # it is there
    assert len(learnt) == 1

    words += ["--sizes", "10", "--folds", "0", "--seeds", "1"]
    study.run.main([*words[:2], *words[4:], "--arms", "original", "classic-1"])
    study.run.main(words)
    found = json.loads((tmp_path / "deck" / "phantoms-from-bone_10_fold0.json").read_text())
    arms = [fit["arm"] for fit in found["values"]["fits"]]
    assert arms[:3] == ["original", "classic-1", "mixed-1"]
    assert arms[7:11] == ["others-1", "others-4", "others-warm-start", "others-only"]
    drawn, radiographs, once, unfiltered = asked[1:]
    assert len(once) == len(radiographs)  # each is a group of its own here
    assert len(unfiltered) == 8
    assert np.unique(drawn.images).tolist() == [0, 1]
    assert len(learnt) == 2  # who draws, filters
    counts = radiographs.class_counts
    assert set(counts.values()) == {max(new.class_counts.values())}  # the rarer repeated
    assert found["values"]["pools"] == {
        "phantoms-from-bone_r3ganfilter": 8,
        "radiographs": len(radiographs),
        "radiographs-once": len(once),
        "phantoms-from-bone_r3gan": 8,
    }
    twice = sr.ImageDataset.from_arrays(
        np.repeat(new.images, 2, axis=0),
        np.repeat(new.labels, 2),
        class_names=names,
        groups=np.repeat(np.arange(len(new)), 2),
    )
    np.testing.assert_array_equal(study.sources.radiographs(twice, True).images, once.images)
    with pytest.raises(SystemExit, match=r"Not planned here: \['mixed'\]; of \['mixed-1', "):
        study.run.main([*words, "--arms", "mixed", "mixed-1"])
    with pytest.raises(SystemExit, match="one at a time"):
        study.run.main([*words, "--shared"])
    with pytest.raises(SystemExit, match="must name another set"):
        study.elsewhere.main(words[:2])
    with pytest.raises(SystemExit, match="none draws who has"):
        study.elsewhere.in_order_of(("a", "b"), donor)


def test_drawn_images_of_another_set_are_held_against_its_radiographs(study: Any) -> None:
    labels = [0, 1] * 10
    told = {
        "original": [5_000] * 20,
        "classic-1": [5_000] * 20,
        "mixed-1": [2_000, 8_000] * 9 + [8_000, 2_000],
        "others-1": [2_000, 8_000] * 10,
        "others-only": [2_000, 8_000] * 10,
    }
    fits = [
        {"arm": arm, "seed": 0, "validation": p, "test": p}
        | {"phase_steps": [3, 1], "seconds": 1.0}
        for arm, p in told.items()
    ]
    cell = {
        "fold": 0,
        "fits": fits,
        "probability_scale": 10_000,
        "validation_labels": labels,
        "test_labels": labels,
        "test_groups": list(range(20)),
        "training_images": {"a": 10, "b": 10},
        "class_names": ["a", "b"],
        "pools": {},
    }
    found = study.analyse.analyse([cell])
    assert found["chosen"]["best-synthetic"] == ["mixed-1"]  # others-* are no drawn images
    assert found["chosen"]["best-others"] == ["others-1"]
    controls = {arm: each["baseline"] for arm, each in found["controls"]["auc"].items()}
    assert controls == {
        "mixed-1": "others-1",
        "others-1": "classic-1",
        "best-synthetic": "best-others",
    }
    found = study.analyse.analyse([cell | {"fits": fits[:3]}])
    assert "best-others" not in found["chosen"]
    assert found["controls"]["auc"]["mixed-1"]["baseline"] == "classic-1"


def test_all_of_it_at_a_tiny_size(
    study: Any,
    phantoms: sr.ImageDataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--set", "phantoms", "--folds", "0"]
    monkeypatch.setattr(study.cells, "load", lambda name, path: phantoms)
    monkeypatch.setattr(study.cells, "FOLDS", 2)
    monkeypatch.setattr(sr, "find_duplicates", lambda data, verbose: np.arange(len(data)))
    monkeypatch.setattr(study.generate, "RESULTS", tmp_path / "results" / "generators")
    monkeypatch.setattr(study.run, "RESULTS", tmp_path / "results")

    def tiny(*shape: Any, **options: Any) -> Any:
        return sr.DCGAN(*shape, width=0.05, **options)  # takes less time to trace

    monkeypatch.setattr(sr, "R3GAN", tiny)
    monkeypatch.setattr("generators.MEASURED", 2)
    study.generate.main([*words, "--minutes", "0.01", "--pool", "150"])
    pool = np.load(study.cells.pool_path("phantoms", None, 0, "R3GAN"), allow_pickle=False)
    assert pool["images"].shape == (300, 32, 32, 1)
    by_epochs = ["--folds", "1", "--epochs", "2", "--pool", "20", "--no-report"]
    study.generate.main([*words, *by_epochs])
    raw = json.loads(
        (tmp_path / "results" / "generators" / "phantoms_all_fold1_r3gan.json").read_text()
    )
    steps = [-(-count // 32) for count in raw["values"]["training_images"].values()]
    assert raw["values"]["images_seen"] == [2 * 32 * count for count in steps]
    study.generate.main([*words, "--generator", "truth", "--pool", "20"])
    new = np.load(study.cells.pool_path("phantoms", None, 0, "truth"), allow_pickle=False)
    assert np.bincount(new["labels"]).tolist() == [20, 20]
    seen = {image.tobytes() for image in phantoms.images}
    assert not seen & {image.tobytes() for image in new["images"]}
    with pytest.raises(SystemExit, match="of no other set is it known"):
        study.generate.main(["--set", "bone", "--generator", "truth"])
    for wrong in (["--seen", "9"], ["--generator", "R3GAN-base", "--epochs", "2"]):
        with pytest.raises(SystemExit, match=wrong[-2]):
            study.generate.main(["--set", "phantoms", *wrong])
    table = study.tables.pools(tmp_path / "results" / "generators")
    assert "| phantoms, all, fractured | 0 | `R3GAN` |" in table
    assert study.tables.pools(tmp_path) == study.tables.NOT_DONE
    study.generate.main(words)
    assert "0 pools to make" in capsys.readouterr().out

    monkeypatch.setattr(study.run, "PASSES", {"deck": 2})
    monkeypatch.setattr(study.run, "FEWEST_STEPS", 8)
    monkeypatch.setattr(study.sources, "TEACHER", {"folds": 2, "epochs": 1, "seed": 0})
    chosen = ["original", "classic-1", "mixed-1-unfiltered"]
    study.run.main([*words, "--seeds", "1", "--arms", *chosen])
    path = tmp_path / "results" / "deck" / "phantoms_all_fold0.json"
    raw = json.loads(path.read_text())["values"]
    arms = {fit["arm"]: fit for fit in raw["fits"]}
    assert list(arms) == ["original", "classic-1", "mixed-1-unfiltered"]
    assert len({sum(fit["phase_steps"]) for fit in raw["fits"]}) == 1
    assert len(arms["original"]["test"]) == len(raw["test_labels"]) == len(raw["test_rows"])
    before = path.read_text()
    study.run.main([*words, "--seeds", "1", "--arms", *chosen])  # nothing is done again
    assert path.read_text() == before
    other = json.loads(before)
    other["values"]["test_rows"][0] += 1
    path.write_text(json.dumps(other))
    with pytest.raises(SystemExit, match="folds of other groups"):
        study.run.main([*words, "--seeds", "1", "--arms", *chosen])
    path.write_text(before)

    monkeypatch.setattr(study.generate, "SEEN", 96)
    monkeypatch.setattr(study.generate, "SPELLS", 2)
    monkeypatch.setitem(study.generate.BATCH_SIZE, "R3GAN-base", 16)
    tiny.from_preset = lambda _, *shape, **options: tiny(*shape, **options)  # type: ignore[attr-defined]
    larger = [*words, "--generator", "R3GAN-base"]
    study.generate.main([*larger, "--pool", "60", "--no-report"])
    made = tmp_path / "results" / "generators" / "phantoms_all_fold0_r3gan-base.json"
    drawn = json.loads(made.read_text())["values"]
    assert drawn["images_seen"] == [96, 96]
    assert drawn["report"] is None
    assert study.tables.pools(made.parent).count("R3GAN") == 2
    study.generate.main(larger)  # judges what was drawn
    judged = json.loads(made.read_text())["values"]
    assert set(judged["report"]) == set(phantoms.class_names)
    assert judged | {"report": None} == drawn
    aside = made.rename(tmp_path / "aside.json")
    study.generate.main(larger)
    assert f"Not judged: the pool is there, but {made.name}" in capsys.readouterr().out
    aside.rename(made)
    assert study.tables.pools(made.parent).count("R3GAN") == 4
    monkeypatch.setattr(study.sources, "ANOTHER", ("mixed-1",))
    study.run.main([*larger, "--seeds", "1"])
    found = json.loads((path.parent / "phantoms-base_all_fold0.json").read_text())["values"]
    assert [fit["arm"] for fit in found["fits"]] == ["original", "classic-1", "mixed-1"]
    assert found["fits"][0] == arms["original"]  # of the same real images
    assert "phantoms_all_fold0_r3gan-basefilter" in found["pools"]

    study.analyse.main(["--results", str(tmp_path / "results")])
    monkeypatch.setattr(study.tables, "ANALYSIS", tmp_path / "results" / "analysis.json")
    table = study.tables.study()
    assert "| `best-classic` |" in table
    assert "phantoms, all training images, the slides' classifier" in table
    assert "phantoms, `base` preset of `R3GAN`, all training images" in table
    assert study.headline.primary() == study.tables.NOT_DONE  # which is of FracAtlas
    study.tables.plot(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 1000
