"""The benchmarks of speed run, compare like with like, and are told as they were measured."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import synthray as sr
from test_r3gan import tiny_bars

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["benchmark.py"])
    return importlib.import_module


def values(path: Path) -> dict[str, Any]:
    raw = json.loads(path.read_text())
    assert set(raw) == {"command", "versions", "machine", "values"}
    found: dict[str, Any] = raw["values"]
    return found


def positive(ratios: dict[str, dict[str, float]]) -> bool:
    return all(0 < r["low"] <= r["median"] <= r["high"] for r in ratios.values())


def test_ratios_are_taken_within_a_round(load: Any) -> None:
    pairs = load("speed._pairs")
    seconds = {"ours": [1.0, 2.0, 4.0], "peer": [3.0, 4.0, 4.0]}
    assert pairs.times_as_fast(seconds) == {"peer": {"median": 2.0, "low": 1.0, "high": 3.0}}
    cost = pairs.paired(seconds["ours"], seconds["peer"])
    assert cost == {"median": 0.5, "low": pytest.approx(1 / 3), "high": 1.0}
    assert pairs.spread([4.0, 1.0, 2.0, 3.0]) == {"median": 2.5, "low": 1.0, "high": 4.0}
    assert pairs.as_text(cost) == "0.50 [0.33, 1.00]"
    with pytest.raises(ValueError, match="longer"):
        pairs.paired([1.0], [1.0, 2.0])


def test_competitors_take_turns(load: Any) -> None:
    pairs = load("speed._pairs")
    order: list[str] = []

    def work(name: str) -> float:
        order.append(name)
        return float(len(order))

    competitors = {name: functools.partial(work, name) for name in "abc"}
    seconds = pairs.take_turns(competitors, 3, say=lambda text: None)
    assert "".join(order) == "abccbaabc"
    assert seconds == {"a": [1.0, 6.0, 7.0], "b": [2.0, 5.0, 8.0], "c": [3.0, 4.0, 9.0]}
    assert pairs.timed(lambda: None)() >= 0


def test_dcgan_step(load: Any, tmp_path: Path) -> None:
    peers = ["two_tape_no_xla"] + ["torch"] * (importlib.util.find_spec("torch") is not None)
    words = ["--quick", "--rounds", "2", "--out", str(tmp_path), "--peers", *peers]
    load("speed.dcgan_step").main(words)
    found = values(tmp_path / "dcgan_step.json")
    assert set(found["ratios"]) == set(peers)
    assert positive(found["ratios"])
    assert max(found["agreement"]["largest_difference"].values()) < 1e-5
    assert {len(seconds) for seconds in found["seconds"].values()} == {2}


def test_a_peer_that_computes_something_else_is_found_out(load: Any) -> None:
    step = load("speed.dcgan_step")

    class Other:
        def take_weights(self, gan: Any) -> None: ...

        def losses(self, images: Any, latents: Any) -> tuple[float, float]:
            return 1.0, 1.0

    gan = sr.DCGAN((16, 16, 3), width=0.0625, seed=0)
    images = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(SystemExit, match="The losses differ"):
        step.check(gan, {"other": Other()}, images, 1e-4)


def test_operations_of_a_step_are_counted(load: Any) -> None:
    sizes = load("speed._dcgan_sizes")
    gan = sr.DCGAN((8, 8, 1), latent_dim=3, width=1 / 64, seed=0)  # 4, 4, 4, 8 filters; 4, 4, 4
    up = 16 * (4 * 4 + 4 * 4 * 4 + 16 * 4 * 8)  # 4x4 kernels on maps of 1, 2 and 4 pixels a side
    generator = 2 * (3 * 4 + up + 64 * 25 * 8)
    discriminator = 2 * (16 * (16 * 4 + 4 * 16 + 1 * 16) + 4)
    assert sizes.forward_flops(gan.generator) == generator
    assert sizes.forward_flops(gan.discriminator) == discriminator
    assert sizes.step_flops(gan, 2) == 2 * (3 * generator + 8 * discriminator)


def test_r3gan_share(load: Any, tmp_path: Path) -> None:
    load("speed.r3gan_share").main(["--quick", "--out", str(tmp_path)])
    found = values(tmp_path / "r3gan_share.json")
    assert 0.3 < found["ratios"]["of operations"]["median"] < 1
    assert any("Conv2D" in kind for kind in found["seconds_by_kind"])


def test_classifier_fit(load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["--quick", "--out", str(tmp_path)]
    load("speed.classifier_fit").main([*words, "--peers", "plain_no_xla"])
    found = values(tmp_path / "classifier_fit.json")
    assert positive(found["ratios"])
    assert found["agreement"]["largest_difference"]["plain_no_xla"] < 1e-5
    monkeypatch.setattr(load("speed.classifier_fit"), "FEW", (8, 2))
    load("speed.classifier_fit").main([*words, "--few", "--peers", "plain_no_xla"])
    found = values(tmp_path / "classifier_few.json")
    assert (found["training_images"], found["epochs_a_round"]) == (8, 2)
    load("speed.classifier_fit").main([*words, "--accuracy"])
    found = values(tmp_path / "classifier_accuracy.json")
    assert all(0 <= a <= 1 for each in found["accuracies"].values() for a in each)


def test_comparison_fits(load: Any, tmp_path: Path) -> None:
    load("speed.comparison_fits").main(["--quick", "--images", "64", "--out", str(tmp_path)])
    found = values(tmp_path / "comparison_fits.json")
    (ours,), plain = found["seconds"]["ours"], found["seconds"]["plain_fits"]
    assert found["fits"] == 6
    assert found["ratios"]["plain"]["high"] == pytest.approx(6 * max(plain) / ours)
    other = values(tmp_path / "comparison_fits_no_xla.json")
    assert other["seconds"]["ours"] == [ours]
    assert len(other["seconds"]["plain_fits"]) == len(plain) == 2
    assert other["seconds"]["plain_fits"] != plain
    assert positive(other["ratios"])


def test_loading(load: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("train/a/1.png", "train/b/2.jpg", "test/a/3.png", "test/b/4.png"):
        (tmp_path / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "films" / name)
    (tmp_path / "films/train/a/broken.png").write_bytes(b"no image")
    words = ["--quick", "--data", str(tmp_path), "--name", "films", "--out", str(tmp_path)]
    load("speed.loading").main(words)
    found = values(tmp_path / "loading_films.json")
    assert found["skipped_files"] == 1
    assert found["agreement"]["images"] == 4
    assert found["agreement"]["mean_absolute_difference_in_gray_values"] < 2  # JPEG decoders
    assert found["measured"]["ours"][0]["result_mib"] == 4 * 64 * 64 * 3 / 2**20
    assert positive(found["ratios"])


def test_augmenting(load: Any, tmp_path: Path) -> None:
    load("speed.augmenting").main(["--quick", "--out", str(tmp_path)])
    assert positive(values(tmp_path / "augmenting.json")["ratios"])


def test_growth(load: Any, tmp_path: Path) -> None:
    growth = load("speed.growth")
    assert growth.exponents({10: 1.0, 20: 4.0, 40: 4.0}) == [2.0, 0.0]
    images = sr.make_phantoms(4, image_shape=(32, 32, 1), seed=0).images[..., 0]
    made = growth.versions(images, 7, np.random.default_rng(0))
    assert len(made) == 8
    assert (made[::2] == images).all()  # first of each comes the radiograph itself
    growth.main(["--quick", "--sizes", "20", "40", "--limit", "0", "--out", str(tmp_path)])
    found = values(tmp_path / "growth.json")
    assert {len(seconds) for seconds in found["seconds"].values()} == {1}  # beyond the limit


def test_settings(
    load: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = load("speed.settings")
    given: list[dict[str, Any]] = []

    def in_here(script: str, *words: str, environment: dict[str, Any]) -> dict[str, Any]:
        given.append(environment)
        settings.main(list(words))
        return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))

    monkeypatch.setattr(settings, "ask", in_here)
    words = ["--quick", "--out", str(tmp_path), "--networks", "DCGAN", "--dtypes", "float32"]
    settings.main(words)
    found = values(tmp_path / "settings_dcgan.json")
    assert [each["TF_ENABLE_ONEDNN_OPTS"] for each in given] == [None, "1", None]
    assert [each["TF_CPU_ALLOCATOR_USE_BFC"] for each in given] == [None, None, "1"]
    assert set(found["ratios"]) == {"float32, oneDNN", "float32, kept memory"}
    assert positive(found["ratios"])
    assert found["largest_difference_of_losses"] == {"float32": 0.0}
    with pytest.raises(SystemExit, match=r"R3GAN: the losses in float32 differ by 0\.5"):
        settings.apart("R3GAN", {"float32": [[1.0, 2.0], [1.0, 2.5]]})


def test_a_child_gets_its_variables(
    load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text("import json, os\nprint('words')\nprint(json.dumps(dict(os.environ)))\n")
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("TWO", "2")
    found = load("speed._children").ask(str(script), environment={"ONE": None, "THREE": "3"})
    assert "ONE" not in found
    assert (found["TWO"], found["THREE"]) == ("2", "3")


def test_gpu_step_needs_a_gpu(load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    step = load("speed.gpu_step")
    monkeypatch.setattr(step, "gpu", lambda: None)
    with pytest.raises(load("speed._options").MissingError, match="sees no GPU"):
        step.main(["--out", str(tmp_path)])


def test_gpu_step_runs_on_a_processor(load: Any, tmp_path: Path) -> None:
    step = load("speed.gpu_step")
    step.main(["--cpu", "--quick", "--peak-tflops", "1", "--out", str(tmp_path)])
    found = values(tmp_path / "gpu_step_tensorflow.json")
    assert set(found["seconds"]) == set(found["drawn_a_second"]) == {"DCGAN", "R3GAN"}
    if importlib.util.find_spec("torch") is not None:
        assert set(found["ratios"]) == {"DCGAN, torch", "R3GAN, torch"}
        assert positive(found["ratios"])
        for agreement in found["agreement"].values():
            assert agreement["largest_difference"]["torch"] < 1e-2  # ours computes in bfloat16


def test_operations_of_a_step_by_hand(load: Any) -> None:
    sizes = load("speed._dcgan_sizes")
    gan = sr.R3GAN((8, 8, 1), 4, width=1 / 32, penalty_every=2, seed=0)
    dense, image = 4 * 4 * 4 * 4, 8 * 8 * 9 * 4  # 4 latents, 4 maps of 4x4; one map of 8x8
    blocks = 2 * 9 * 4 * 4 * (4 * 4 + 8 * 8)
    assert sizes.forward_flops(gan.generator) == 2 * (dense + blocks + image)
    down, logit = 4 * 4 * 16 * 4, 4 * 4 * 4
    assert sizes.forward_flops(gan.discriminator) == 2 * (down + logit)
    both = 4 * 2 * (dense + blocks + image), (9 + 6) * 2 * (down + logit)
    assert sizes.r3gan_step_flops(gan, 3) == 3 * sum(both)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_the_torch_r3gan_learns_and_averages(load: Any) -> None:
    import torch

    images = tiny_bars(64).images
    gan = sr.R3GAN((8, 8, 1), 4, width=0.25, seed=0, augment_strength=0.0)
    torch.manual_seed(0)
    peer = load("speed._torch_r3gan").TorchR3GAN(images, 16, gan, device="cpu", fast=False)
    peer.take_weights(gan)

    def apart() -> float:
        with torch.no_grad():
            drawn = peer.generator(torch.randn(256, 4))
        return float(((drawn.mean(0) - peer.tensor(images).mean(0)) ** 2).mean())

    before = apart()
    for _ in range(60):
        peer.train()
    assert apart() < 0.7 * before
    moved = zip(peer.average.parameters(), peer.generator.parameters(), strict=True)
    assert all(not torch.equal(a, b) for a, b in moved)


def test_what_cannot_run_is_told(
    load: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bench = load("bench")
    names = ["loading_bone-fracture-160", "loading_bone-fracture-originals"]
    assert bench.main(["--only", names[0]]) == 0
    assert "skipped: needs bone-fracture-160" in capsys.readouterr().out
    assert bench.main(["--only", *names, "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("is not in the folder") == 2


def test_what_was_interrupted_can_go_on(
    load: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = load("bench")
    outcomes = iter([0, KeyboardInterrupt()])

    def run(command: list[str], **_: Any) -> Any:
        outcome = next(outcomes)
        if isinstance(outcome, KeyboardInterrupt):
            raise outcome
        return SimpleNamespace(returncode=outcome)

    monkeypatch.setattr(bench.subprocess, "run", run)
    assert bench.main(["--quick", "--only", "dcgan_step", "r3gan_share", "importing"]) == 1
    assert "Interrupted. To go on: --only r3gan_share importing\n" in capsys.readouterr().out


def test_every_benchmark_has_a_line_in_the_table(load: Any) -> None:
    lines = {line.file for line in load("speed_lines").LINES}
    apart = {"growth", "settings", "classifier_accuracy"}
    with_others = {"comparison_fits_no_xla"}  # by the same command as another
    assert lines | apart == set(load("bench").BENCHMARKS) | with_others


def test_half_precision_is_left_out_where_it_is_emulated(
    load: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    records, bench, settings = load("records"), load("bench"), load("speed.settings")
    lines = load("speed_lines")
    args = SimpleNamespace(dtypes=None, quick=False)
    for words, emulated in (("avx avx2", True), ("avx avx512_bf16", False), ("", False)):
        monkeypatch.setattr(records, "_of_processor", lambda key, words=words: words)
        assert records.lacks_bfloat16() is emulated
        lacking = bench.BENCHMARKS["dcgan_step_bf16"].missing(None)
        assert (lacking is not None) is emulated
        assert ("mixed_bfloat16" not in settings.chosen("DCGAN", args)) is emulated
        assert settings.chosen("R3GAN", args) == ["float32", "mixed_bfloat16"]
        keep(tmp_path, "dcgan_step", {"instructions": records.instructions()})
        raw = load("speed_tables").load(tmp_path)
        (row,) = {(line.file, line.work) for line in lines.lines_for(raw) if line.row == 2}
        assert (row[0] == "dcgan_step") is emulated
        assert row[1].endswith("float32" if emulated else "bfloat16")
    assert bench.BENCHMARKS["dcgan_step_bf16"].missing(None, quick=True) is None
    assert "left out" in capsys.readouterr().out


def keep(folder: Path, name: str, told: dict[str, Any]) -> None:
    machine = {"cores": 2, "processor": "Abacus", "quick": False}
    versions = {"keras": "3.1", "backend": "tensorflow", "tensorflow": "2.9"}
    raw = {"command": "", "versions": versions, "machine": {}, "values": machine | told}
    (folder / f"{name}.json").write_text(json.dumps(raw))


def test_tables_tell_what_was_measured(load: Any, tmp_path: Path) -> None:
    tables = load("speed_tables")
    picture = tmp_path / "speed.png"
    assert "not measured" in tables.speed(tmp_path, picture)
    assert tables.growth(tmp_path).startswith("Not measured")
    assert not tables.plot(tmp_path, picture)
    ratios = {"two_tape": {"median": 1.5, "low": 1.4, "high": 1.61}}
    ratios["torch"] = {"median": 2.4, "low": 2.0, "high": 3.0}
    keep(tmp_path, "dcgan_step", {"ratios": ratios})
    keep(tmp_path, "importing", {"ratios": {"keras": {"median": 1.2, "low": 1, "high": 1.3}}})
    keep(tmp_path, "augmenting", {"quick": True})
    keep(
        tmp_path,
        "growth",
        {
            "sizes": [10, 20],
            "seconds": {"find_duplicates": [1.0, 2.0], "evaluate_samples, features": [3.0]},
            "exponents": {"find_duplicates": [1.0], "evaluate_samples, features": []},
            "radiographs": 5,
            "images": "phantoms",
        },
    )
    text = tables.speed(tmp_path, picture)
    assert "step, float32 | 1.50 [1.40, 1.61] times as fast | at least 1.4 | yes |" in text
    assert "torch, float32 | 2.40 [2.00, 3.00] times as fast | at least 2.5 | no |" in text
    assert "`import keras` | 1.20 [1.00, 1.30] times as long | at most 1.1 | no |" in text
    assert "`augment` in front of a `tf.data` pipeline, a pass | a cached array | not me" in text
    assert "Measured on 2 cores of Abacus, Keras 3.1 on tensorflow 2.9." in text
    assert "speed.png" not in text
    assert "another machine" not in text
    (tmp_path / "lathe").mkdir()
    keep(tmp_path / "lathe", "importing", {"ratios": {"keras": ratios["two_tape"]}})
    elsewhere = tables.speed(tmp_path, picture).partition("The same on another machine, ")[2]
    assert elsewhere.startswith("2 cores of Abacus")
    assert elsewhere.count("times as") == elsewhere.count("1.50 [1.40, 1.61] times as long") == 1
    seconds = {"ours": [10.0, 10, 10], "two_tape": [15, 20.473, 17], "torch": [24, 20.47, 24]}
    ratios["two_tape_no_xla"] = ratios["torch"]
    seconds["two_tape_no_xla"] = [20.47, 20.468, 20.475]
    keep(tmp_path / "lathe", "dcgan_step", {"ratios": ratios, "seconds": seconds})
    elsewhere = tables.speed(tmp_path, picture).partition("The same on another machine, ")[2]
    assert "step, float32 | 1.60 [1.50, 1.70] times as fast | at least 1.4 | yes |" in elsewhere
    assert "- Row 1, two-tape Keras step, float32: without 1 of 3 rounds, in which" in elsewhere
    assert "float32, no XLA |" not in elsewhere  # all rounds waited
    assert "torch, float32 | 2.40 [2.00, 3.00] times as fast" in elsewhere  # whose loop is its own
    told = {"ratios": ratios, "seconds": seconds, "peers_tune": False}
    keep(tmp_path / "lathe", "dcgan_step", told)
    elsewhere = tables.speed(tmp_path, picture).partition("The same on another machine, ")[2]
    assert "step, float32 | 1.50 [1.40, 1.61] times as fast" in elsewhere
    assert "waited" not in elsewhere
    assert tables.settings(tmp_path).startswith("Not measured")
    keep(
        tmp_path,
        "settings_r3gan",
        {
            "network": "R3GAN",
            "seconds_of_a_step": {"float32": [3.0, 4.0], "float32, oneDNN": [2.0, 2.0]},
            "ratios": {"float32, oneDNN": ratios["two_tape"]},
            "image_shape": [64, 64, 1],
            "batch_size": 32,
            "rounds": 2,
            "instructions": [],
        },
    )
    told = tables.settings(tmp_path)
    assert "| `R3GAN` | `float32` | 1 | 3.50 |" in told
    assert "`float32`, `TF_ENABLE_ONEDNN_OPTS=1` | 1.50 [1.40, 1.61] | 2.00 |" in told
    assert "64 x 64 x 1, batch 32" in told
    assert "instructions: not told." in told
    grown = tables.growth(tmp_path)
    assert "| `find_duplicates` | 1.0 s | 2.0 s | 1.00 |" in grown
    assert "| `evaluate_samples`, features | 3.0 s | left out |  |" in grown
    assert tables.plot(tmp_path, picture)
    assert np.asarray(Image.open(picture)).std() > 0
    assert "(assets/speed.png)" in tables.speed(tmp_path, picture)
