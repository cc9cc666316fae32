"""Steps that are recorded on torch: the numbers of Keras' own, bit for bit, or Keras' own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from synthray._layers import Dropout
from synthray.generators import _cuda_graph, _one_pass, _recorded, losses
from synthray.generators._recorded import RecordedStep, keep_literals, worth_recording
from synthray.generators.gan import GAN, Logits
from toys import assert_equal_weights

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(
        keras.backend.backend() != "torch", reason="only torch runs a step's Python each time"
    ),
]

SHAPE = (8, 8, 1)


class Small(GAN):
    """Two dense networks, the second with dropout."""

    def __init__(self, **options: Any) -> None:
        glorot = [keras.initializers.GlorotUniform(seed) for seed in range(2)]
        generator = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(64, kernel_initializer=glorot[0]),
                keras.layers.Reshape(SHAPE),
            ]
        )
        judge = keras.Sequential(
            [
                keras.Input(SHAPE),
                keras.layers.Flatten(),
                Dropout(0.5, seed=3),
                keras.layers.Dense(1, kernel_initializer=glorot[1]),
            ]
        )
        super().__init__(generator, judge, seed=1, **options)

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        return (
            losses.non_saturating_discriminator_loss(logits["real"], logits["fake"]),
            losses.non_saturating_generator_loss(logits["generated"]),
        )


class DrawingByItself(Small):
    """Draws in its loss, by a seed of its own."""

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        noise = keras.random.normal(logits["real"].shape, seed=self.seed_generator)
        return super().losses_from_logits(logits | {"real": logits["real"] + noise})


class DrawingWithoutSeed(Small):
    """Draws in its loss, by torch's own generator."""

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        import torch

        noise = torch.randn_like(logits["real"])
        return super().losses_from_logits(logits | {"real": logits["real"] + noise})


def images(n: int = 20, shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def fit(model: Any, data: Any = None, **options: Any) -> keras.callbacks.History:
    options = {"batch_size": 8, "epochs": 4, "verbose": 0} | options
    found: keras.callbacks.History = model.fit(images() if data is None else data, **options)
    return found


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say whether models that begin to train record their steps."""

    def choose(wanted: bool) -> None:
        monkeypatch.setattr(_one_pass, "worth_recording", lambda model: wanted)

    return choose


@pytest.fixture
def both(recording: Callable[[bool], None]) -> Callable[..., tuple[Any, Any]]:
    """Train a model with recorded steps and its like without, in the same way."""

    def train(make: Callable[[], Any], teach: Callable[[Any], Any] = fit) -> tuple[Any, Any]:
        import torch

        models = []
        for wanted in (True, False):
            recording(wanted)
            torch.manual_seed(0)
            models.append(make())
            teach(models[-1])
        assert isinstance(models[0].train_function, RecordedStep)
        assert not isinstance(models[1].train_function, RecordedStep)
        return models[0], models[1]

    return train


def assert_same(one: Any, other: Any) -> None:
    """Weights, optimizer and random generators are equal, bit for bit."""
    assert_equal_weights(one, other)
    pairs = zip(one.variables, other.variables, strict=True)
    optimizers = zip(one.optimizer.variables, other.optimizer.variables, strict=True)
    for first, second in [*pairs, *optimizers]:
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    assert one.history.history == other.history.history


GENERATORS = {
    "simultaneous": (Small, {}),
    "alternating": (lambda: Small(updates="alternating"), {}),
    "DCGAN": (lambda: sr.DCGAN(SHAPE, width=0.03, seed=0, dtype="mixed_bfloat16"), {}),
    "R3GAN": (
        lambda: sr.R3GAN(SHAPE, width=0.02, blocks=1, num_classes=2, seed=0),
        {"data": images(16), "y": np.arange(16) % 2},
    ),
    "CycleGAN": (
        lambda: sr.CycleGAN((16, 16, 1), width=2, residual_blocks=1, seed=0),
        {"data": sr.make_phantoms(16, image_shape=(16, 16, 1), seed=0), "batch_size": 4},
    ),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_it_takes_the_steps_of_keras(name: str, both: Callable[..., tuple[Any, Any]]) -> None:
    make, options = GENERATORS[name]
    recorded, plain = both(make, lambda model: fit(model, **options))
    assert recorded.train_function.reason is None
    assert recorded.train_function.recordings
    assert_same(recorded, plain)


def test_each_size_of_batch_is_recorded(both: Callable[..., tuple[Any, Any]]) -> None:
    recorded, _ = both(Small)
    sizes = {key.partition(",")[0] for key in recorded.train_function.recordings}
    assert sizes == {"[((8", "[((4"}  # twenty images


def test_weights_of_images_and_labels_are_passed_on(both: Callable[..., tuple[Any, Any]]) -> None:
    class Weighted(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return images(8), None, np.linspace(0, index, 8, dtype=np.float32)

    recorded, plain = both(
        Small, lambda model: fit(model, Weighted(), batch_size=None, shuffle=False)
    )
    assert recorded.train_function.reason is None
    assert_same(recorded, plain)


def test_what_changes_between_steps_counts(both: Callable[..., tuple[Any, Any]]) -> None:
    def teach(model: Any) -> None:
        fit(model, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / 2**epoch)])
        model.set_weights([value * 0.5 for value in model.get_weights()])
        fit(model)
        model.compile(keras.optimizers.SGD(0.1))
        fit(model, images() / 255.0)  # of another range, too

    assert_same(*both(Small, teach))


def test_a_reloaded_model_goes_on_as_it_would_have(
    tmp_path: Path, recording: Callable[[bool], None]
) -> None:
    recording(True)
    whole = sr.DCGAN(SHAPE, width=0.03, seed=0)
    fit(whole, epochs=6)
    half = sr.DCGAN(SHAPE, width=0.03, seed=0)
    fit(half, epochs=3)
    half.save(tmp_path / "gan.keras")
    reloaded = keras.models.load_model(tmp_path / "gan.keras")
    fit(reloaded, epochs=3)
    assert reloaded.train_function.recordings
    assert_equal_weights(reloaded, whole)


@pytest.mark.parametrize("kind", [DrawingByItself, DrawingWithoutSeed])
def test_what_cannot_be_recorded_trains_as_keras_does(
    kind: Any, both: Callable[..., tuple[Any, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "synthray"):
        recorded, plain = both(kind, lambda model: fit(model, images(16), epochs=2))
    assert recorded.train_function.reason
    assert not recorded.train_function.recordings
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        f"The steps of {recorded.name} are not recorded, and slower for it"
    ]
    if kind is DrawingByItself:  # torch's own generator moves on with each try
        assert_same(recorded, plain)


def test_a_failed_record_leaves_no_trace(
    both: Callable[..., tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(operations: Any) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(_recorded, "keep_literals", break_down)  # after a whole step
    recorded, plain = both(Small)
    assert recorded.train_function.reason == "RuntimeError: planted"
    assert_same(recorded, plain)


def test_batches_of_many_sizes_are_not_recorded(
    both: Callable[..., tuple[Any, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    class Growing(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 12

        def __getitem__(self, index: int) -> Any:
            return images(index + 1)

    recorded, plain = both(
        Small, lambda model: fit(model, Growing(), batch_size=None, epochs=2, shuffle=False)
    )
    assert recorded.train_function.reason == "batches come in more than 8 sizes"
    assert "more than 8 sizes" in caplog.text
    assert_same(recorded, plain)


def test_on_a_cpu_nothing_is_recorded() -> None:
    model = Small()
    fit(model, epochs=1)
    assert not isinstance(model.train_function, RecordedStep)


def test_it_is_for_cuda_and_can_be_turned_off() -> None:
    class OnCuda:
        is_cuda = True

    class Variable:
        value = OnCuda()

    class Model:
        trainable_variables = (Variable(),)
        run_eagerly = jit_compile = False

    assert worth_recording(Model())
    for name in ("run_eagerly", "jit_compile"):
        other = Model()
        setattr(other, name, True)
        assert not worth_recording(other)


def test_literals_are_made_once() -> None:
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    def step(x: Any) -> Any:
        changed = torch.tensor([1.0, 2.0])
        changed.add_(x)  # a step that kept this one would add to it again and again
        return changed * torch.tensor([3.0, 4.0]).to(torch.float32) * torch.tensor(2).double()

    x = torch.tensor([10.0, 20.0])
    operations = make_fx(step)(x)
    keep_literals(operations)
    made = [node for node in operations.graph.nodes if "lift_fresh" in str(node.target)]
    assert len(made) == 1
    for _ in range(2):
        assert operations(x).tolist() == [66.0, 176.0]


class FakeGraph:
    """Stands for a graph of CUDA: repeats what was captured on the same memory."""

    def __init__(self) -> None:
        self.again: Callable[[], None] = lambda: None

    def replay(self) -> None:
        self.again()


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the graph asks of CUDA, in order."""
    import torch

    asked: list[str] = []

    class Stream:
        def wait_stream(self, other: Any) -> None:
            asked.append("wait")

    @contextlib.contextmanager
    def noting(what: str) -> Iterator[None]:
        asked.append(what)
        yield

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: noting("beside"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **options: noting("capture"))
    return asked


def test_a_graph_is_captured_once_and_repeated(fake_cuda: list[str]) -> None:
    import torch

    calls: list[Any] = []

    def double(tensors: list[Any]) -> dict[str, Any]:
        calls.append(tensors)
        return {"twice": tensors[0] * 2}

    graph = _cuda_graph.CudaGraph(double)
    assert graph([torch.tensor(1.0)])["twice"] == 2
    assert fake_cuda == ["wait", "beside", "wait"]
    graph([torch.tensor(5.0)])
    assert fake_cuda[3:] == ["capture"]
    (captured,) = calls[1]

    def again() -> None:
        graph._outputs["twice"].copy_(captured * 2)

    graph.graph.again = again
    first, second = (graph([torch.tensor(value)])["twice"] for value in (3.0, 4.0))
    assert (first, second) == (6, 8)  # the first is not written over
    assert len(calls) == 2


def test_a_graph_gives_its_memory_back_and_is_captured_anew(fake_cuda: list[str]) -> None:
    import torch

    graph = _cuda_graph.CudaGraph(lambda tensors: {"twice": tensors[0] * 2})
    for values in ((1.0, 2.0), (3.0,)):
        for value in values:
            assert graph([torch.tensor(value)])["twice"] == 2 * value
        graph.release()
        assert graph.graph is None
    assert fake_cuda == ["wait", "beside", "wait", "capture", "capture"]


def test_a_training_releases_at_its_end(recording: Callable[[bool], None]) -> None:
    class Noted(_cuda_graph.CudaGraph):
        def __init__(self, operations: Any) -> None:
            self.released = 0
            self._operations = operations

        def __call__(self, tensors: list[Any]) -> Any:
            assert self.released == 0
            return self._operations(tensors)

        def release(self) -> None:
            self.released += 1

    recording(True)
    model = Small()
    fit(model)
    for each in model.train_function.recordings.values():
        each.repeat = Noted(each.repeat)
    model.fit(images(), batch_size=8, verbose=0)
    assert [r.repeat.released for r in model.train_function.recordings.values()] == [1, 1]
    for each in model.train_function.recordings.values():
        each.repeat.released = 0

    def stop(batch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    interrupting = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(KeyboardInterrupt):
        fit(model, callbacks=[interrupting])
    assert [r.repeat.released for r in model.train_function.recordings.values()] == [1, 1]


def test_what_cannot_be_captured_is_called(
    fake_cuda: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    @contextlib.contextmanager
    def refuse(graph: Any, **options: Any) -> Iterator[None]:
        yield
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    graph = _cuda_graph.CudaGraph(lambda tensors: {"twice": tensors[0] * 2})
    found = [graph([torch.tensor(float(k))])["twice"].item() for k in range(4)]
    assert found == [0, 2, 4, 6]
    assert graph.graph is None
    assert caplog.text.count("not permitted when stream is capturing") == 1
