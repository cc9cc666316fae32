"""`augment` and `pretrain_dataset`: the same kind of thing comes out, in the user's own terms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.tiny import tiny_augmenter
from helpers.toys import bars
from synthray._keras.batches import ArrayBatches
from synthray.exceptions import SynthrayWarning

DATA = bars(20, seed=4)


SCALES = {
    "uint8": (DATA.images, (0.0, 255.0)),
    "0 to 255": (DATA.images.astype("float32"), (0.0, 255.0)),
    "0 to 1": (DATA.images / np.float32(255), (0.0, 1.0)),
    "-1 to 1": (DATA.images / np.float64(127.5) - 1, (-1.0, 1.0)),
    "half": ((DATA.images / 255).astype("float16"), (0.0, 1.0)),
    "no channel": (DATA.images[..., 0], (0.0, 255.0)),
    "colour": (np.repeat(DATA.images, 3, -1), (0.0, 255.0)),
}


@pytest.mark.parametrize("scale", SCALES)
def test_arrays_keep_scale_type_and_channels(fitted: sr.SyntheticAugmenter, scale: str) -> None:
    x, (low, high) = SCALES[scale]
    both, labels = fitted.augment((x, DATA.labels), ratio=0.5, seed=1)
    assert both.shape == (30, *x.shape[1:])
    assert both.dtype == x.dtype
    np.testing.assert_array_equal(both[:20], x)
    synthetic = fitted.sample(10, seed=1)
    expected = synthetic.images / 255 * (high - low) + low
    if scale == "no channel":
        expected = expected[..., 0]
    np.testing.assert_allclose(both[20:], np.broadcast_to(expected, both[20:].shape), atol=2e-3)
    np.testing.assert_array_equal(labels[20:], synthetic.labels)


def test_images_of_another_size_are_resized(
    fitted: sr.SyntheticAugmenter, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic = fitted.sample(20, seed=1)
    small, _ = fitted.augment((DATA.images[:, ::2, ::2], DATA.labels), seed=1)
    assert "reduced from 16x16 to 8x8" in capsys.readouterr().out
    # Halved with antialiasing: near the mean of four pixels, in colour too.
    means = synthetic.images.reshape(20, 8, 2, 8, 2, 1).mean(axis=(2, 4))
    assert np.abs(small[20:] - means).mean() < 0.3 * np.abs(small[20:] - small[20:].mean()).mean()
    large = np.repeat(DATA.images.repeat(3, 1).repeat(3, 2) / np.float32(255), 3, -1)
    with pytest.warns(SynthrayWarning, match=r"enlarged from 16x16 to 48x48.* softer"):
        both, _ = fitted.augment((large, DATA.labels), seed=1)
    assert (both.shape, both.dtype) == ((40, 48, 48, 3), np.float32)
    centres = both[20:, 1::3, 1::3, :1] * 255
    np.testing.assert_allclose(centres, synthetic.images, atol=1)


@pytest.mark.parametrize(
    "labels",
    [
        DATA.labels,
        DATA.labels.astype("int32")[:, None],
        DATA.labels.astype("float32"),
        DATA.labels.astype("float32")[:, None],
        np.eye(2, dtype="float32")[DATA.labels],
    ],
    ids=["int", "column", "sigmoid", "sigmoid column", "one-hot"],
)
def test_labels_keep_their_encoding(fitted: sr.SyntheticAugmenter, labels: Any) -> None:
    _, both = fitted.augment((DATA.images, labels), ratio=1, seed=1)
    assert (both.shape, both.dtype) == ((40, *labels.shape[1:]), labels.dtype)
    codes = both.argmax(1) if labels.ndim == 2 and labels.shape[1] == 2 else both.reshape(-1)
    np.testing.assert_array_equal(codes[20:], fitted.sample(20, seed=1).labels)


@pytest.mark.backend
def test_tensors_come_back_as_tensors(fitted: sr.SyntheticAugmenter) -> None:
    pair = [keras.ops.convert_to_tensor(part) for part in (DATA.images, DATA.labels)]
    mixed, alone = fitted.augment(pair, seed=1), fitted.pretrain_dataset(pair, seed=1)
    found = [keras.ops.convert_to_numpy(part) for part in mixed]
    expected = fitted.augment((DATA.images, found[1][:20]), seed=1)
    for place, part in enumerate(pair):
        assert type(mixed[place]) is type(alone[place]) is type(part)
        assert mixed[place].dtype == alone[place].dtype == part.dtype
        np.testing.assert_array_equal(found[place], expected[place])


def test_labels_may_be_names_of_classes(fitted: sr.SyntheticAugmenter) -> None:
    first = DATA.class_names[0][:3]  # shorter than other names
    assert len(first) < len(DATA.class_names[1])
    names = np.array(DATA.class_names)[DATA.labels]
    _, both = fitted.augment((DATA.images, names), ratio=1, seed=1)
    codes = [DATA.class_names.index(name) for name in both[20:]]
    np.testing.assert_array_equal(codes, fitted.sample(20, seed=1).labels)
    of_one = names == DATA.class_names[1]  # "lying" alone: "upright" is longer
    _, both = fitted.augment((DATA.images[of_one], names[of_one].astype("<U5")), ratio=2, seed=1)
    assert set(both) == set(DATA.class_names)


def test_labels_may_be_a_column_of_pandas() -> None:
    words = np.array(["a", "bb"], object)[DATA.labels]  # as pandas holds them
    own = tiny_augmenter().fit(DATA.images, words, verbose=0)
    assert own.classes_ == ["a", "bb"]
    _, both = own.augment((DATA.images, words), ratio=1, seed=1)
    assert both.dtype == object
    assert set(both[20:]) == {"a", "bb"}


def test_real_images_a_little_beyond_a_range_keep_it(fitted: sr.SyntheticAugmenter) -> None:
    for low, high, black in ((0, 1.002, 0), (-0.01, 1, 0), (-1.05, 1, -1)):
        x = low + (high - low) * (DATA.images / DATA.images.max())
        with pytest.warns(SynthrayWarning, match="beyond") as caught:
            both, _ = fitted.augment((x, DATA.labels), ratio=1)
        assert len(caught) == 1
        np.testing.assert_array_equal(both[:20], x)
        assert black <= both[20:].min() < both[20:].max() <= 1
    with pytest.raises(ValueError, match="value_range="):
        fitted.augment((x * 1.5, DATA.labels))


def test_a_stream_is_read_until_it_shows_its_range(fitted: sr.SyntheticAugmenter) -> None:
    tf = pytest.importorskip("tensorflow")
    x = DATA.images.astype("float32")
    x[:9] = 0
    for real in (
        tf.data.Dataset.from_tensor_slices((x, DATA.labels)).batch(4),
        tf.data.Dataset.from_tensor_slices((x, DATA.labels)),
        ArrayBatches(x, DATA.labels, batch_size=4),
    ):
        pure = fitted.pretrain_dataset(real, ratio=1)
        images = pure[0][0] if isinstance(pure, ArrayBatches) else next(iter(pure))[0]
        assert np.asarray(images).max() > 16


def test_labels_may_be_bytes() -> None:
    labels = np.array([b"a", "ü".encode()])[DATA.labels]
    own = tiny_augmenter().fit(DATA.images, labels, verbose=0)
    _, both = own.augment((DATA.images, labels), ratio=1, seed=1)
    assert both.dtype == labels.dtype
    assert set(both) == {b"a", "ü".encode()}


def test_an_image_dataset_stays_one(fitted: sr.SyntheticAugmenter) -> None:
    both = fitted.augment(DATA, ratio=2)
    assert isinstance(both, sr.ImageDataset)
    assert (len(both), both.synthetic.sum()) == (60, 40)
    assert len(fitted.pretrain_dataset(DATA)) == 20
    assert fitted.pretrain_dataset(DATA).synthetic.all()
    assert len(fitted.augment(DATA, ratio=0)) == 20
    alone = fitted.pretrain_dataset(ratio=0.5)
    assert (len(alone), alone.synthetic.all()) == (round(0.5 * sum(fitted.n_train_.values())), True)


def collect(batches: Any) -> tuple[Any, Any]:
    pairs = [(np.asarray(x), np.asarray(y)) for x, y in batches]
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])


def assert_same_rows(left: Any, right: Any) -> None:
    assert sorted(map(bytes, np.ascontiguousarray(left))) == sorted(
        map(bytes, np.ascontiguousarray(right))
    )


def test_tf_dataset_batches(fitted: sr.SyntheticAugmenter) -> None:
    tf = pytest.importorskip("tensorflow")
    real = DATA.to_tf_dataset(8).map(lambda x, y: (tf.cast(x, tf.float32) / 255, y))
    mixed = fitted.augment(real, ratio=0.5, seed=1)
    assert isinstance(mixed, tf.data.Dataset)
    assert mixed.element_spec[0].dtype == tf.float32
    assert int(mixed.cardinality()) == 4
    assert [len(x) for x, _ in mixed] == [8, 8, 8, 6]
    x, y = collect(mixed)
    synthetic = fitted.sample(10, seed=1)
    expected = np.concatenate([DATA.images, synthetic.images]) / np.float32(255)
    assert_same_rows(x, expected.astype("float32"))
    assert not np.array_equal(x[:20], expected[:20])  # met at random, not one after the other
    pure = fitted.pretrain_dataset(real, ratio=0.5, seed=1)
    assert_same_rows(collect(pure)[0], expected[20:].astype("float32"))
    assert y.sum() == DATA.labels.sum() + synthetic.labels.sum()


def test_tf_dataset_batches_without_a_channel(fitted: sr.SyntheticAugmenter) -> None:
    import tensorflow as tf

    flat = tf.data.Dataset.from_tensor_slices((DATA.images[..., 0], DATA.labels)).batch(8)
    mixed = list(fitted.augment(flat, ratio=1, seed=1))
    assert [tuple(images.shape) for images, _ in mixed] == [(8, 16, 16)] * 5
    assert sum(len(labels) for _, labels in mixed) == 40


def test_tf_dataset_of_single_images(fitted: sr.SyntheticAugmenter) -> None:
    tf = pytest.importorskip("tensorflow")
    real = tf.data.Dataset.from_tensor_slices((DATA.images, DATA.labels))
    for dataset in (real, real.filter(lambda x, y: True)):
        mixed = fitted.augment(dataset, ratio=1)
        assert mixed.element_spec[0].shape == (16, 16, 1)
        assert len(list(mixed)) == 40
    assert len(list(fitted.pretrain_dataset(real))) == 20


def test_tf_dataset_mistakes(fitted: sr.SyntheticAugmenter) -> None:
    tf = pytest.importorskip("tensorflow")
    real = DATA.to_tf_dataset(8)
    with pytest.raises(ValueError, match=r"before \.repeat\(\)"):
        fitted.augment(real.repeat())
    with pytest.raises(ValueError, match="at least one batch"):
        fitted.augment(real.take(0))
    weighted = real.map(lambda x, y: (x, y, tf.ones_like(y)))
    with pytest.raises(ValueError, match=r"a tuple of 3.*after augmenting"):
        fitted.augment(weighted)
    named = DATA.to_tf_dataset(8)
    named.class_names = ["lying", "upright"]
    with pytest.raises(ValueError, match="same classes in the same order"):
        fitted.augment(named)


@pytest.mark.backend
def test_py_dataset_keeps_batch_size_and_holds_everything(fitted: sr.SyntheticAugmenter) -> None:
    real = DATA.to_py_dataset(8, shuffle=True, label_mode="one_hot")
    mixed = fitted.augment(real, ratio=0.5, seed=1)
    assert isinstance(mixed, keras.utils.PyDataset)
    synthetic = fitted.sample(10, seed=1)
    orders = []
    for _ in range(2):
        pairs = [mixed[i] for i in range(len(mixed))]
        assert [len(x) for x, _ in pairs] == [8, 8, 8, 6]
        x, y = collect(pairs)
        assert_same_rows(x, np.concatenate([DATA.images, synthetic.images]))
        assert y.shape == (30, 2)
        orders.append(x)
        is_synthetic = [
            sum(bytes(i) in set(map(bytes, synthetic.images)) for i in b) for b, _ in pairs
        ]
        assert max(is_synthetic) - min(is_synthetic) <= 2  # a third of every batch
        mixed.on_epoch_end()
    assert not np.array_equal(orders[0], orders[1])
    with pytest.raises(IndexError):
        mixed[4]
    pure = fitted.pretrain_dataset(real, ratio=0.5, seed=1)
    assert_same_rows(collect(pure[i] for i in range(len(pure)))[0], synthetic.images)


def test_py_dataset_makes_each_real_batch_once(fitted: sr.SyntheticAugmenter) -> None:
    made = []

    class Counting(keras.utils.PyDataset):
        num_batches = 5

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> Any:
            made.append(index)
            return DATA.images[index * 4 : index * 4 + 4], DATA.labels[index * 4 : index * 4 + 4]

        def on_epoch_begin(self) -> None:
            made.append(-1)

    mixed = fitted.augment(Counting(), ratio=1)
    made.clear()
    mixed.on_epoch_begin()
    for i in range(len(mixed)):
        mixed[i]
    assert made == [-1, 0, 1, 2, 3, 4]


@pytest.mark.backend
@pytest.mark.parametrize("channels_first", [True, False])
def test_a_data_loader_stays_one(fitted: sr.SyntheticAugmenter, channels_first: bool) -> None:
    torch = pytest.importorskip("torch")
    data = torch.utils.data
    images = np.moveaxis(DATA.images, 3, 1) if channels_first else DATA.images
    x = torch.tensor(images / np.float32(255))
    y = torch.tensor(DATA.labels.astype("int32"))
    real = data.DataLoader(data.TensorDataset(x, y), batch_size=8)
    mixed = fitted.augment(real, ratio=0.5, seed=1)
    assert isinstance(mixed, data.DataLoader)
    assert (len(mixed), mixed.batch_size) == (4, 8)
    synthetic = fitted.sample(10, seed=1)
    more = np.moveaxis(synthetic.images, 3, 1) if channels_first else synthetic.images
    expected = np.concatenate([images, more]) / np.float32(255)
    next(iter(mixed))  # an epoch that is left before its end
    orders = []
    for _ in range(2):
        pairs = list(mixed)
        assert [len(part) for part, _ in pairs] == [8, 8, 8, 6]
        for part, labels in pairs:
            assert (part.dtype, labels.dtype) == (torch.float32, torch.int32)
        found, labels = collect(pairs)
        assert_same_rows(found, expected)
        assert labels.sum() == DATA.labels.sum() + synthetic.labels.sum()
        orders.append(found)
    assert not np.array_equal(*orders)
    alone = fitted.pretrain_dataset(real, ratio=0.5, seed=1)
    assert [len(part) for part, _ in alone] == [8, 2]
    assert_same_rows(collect(alone)[0], expected[20:])
    if not channels_first:
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(mixed, epochs=2, verbose=0)


def test_mistakes_are_explained(fitted: sr.SyntheticAugmenter) -> None:
    x, y = DATA.images, DATA.labels
    with pytest.raises(ValueError, match=r"16x16.*16x8.*proportions"):
        fitted.augment((DATA.images[:, :, :8], DATA.labels))
    with pytest.raises(ValueError, match="one-hot rows of 3"):
        fitted.augment((x, np.eye(3)[y]))
    with pytest.raises(ValueError, match="fitted with labels"):
        tiny_augmenter().fit(x, np.array(["a", "b"])[y], verbose=0).augment((x, y))
    for strange in (2 * y - 1, y + 1, np.array(["x", "y"])[y], y * 0.5):
        with pytest.raises(ValueError, match=r"fitted with labels \[0, 1\] of the classes"):
            fitted.augment((x, strange))
    with pytest.raises(ValueError, match="ratio must be 0 or more"):
        fitted.augment(DATA, ratio=-1)
    with pytest.raises(ValueError, match=r"0 \.\.\. 1"):
        fitted.augment((x.astype(float) - 500, y))
    for channels in (2, 4):
        with pytest.raises(ValueError, match="1 or 3 channels"):
            fitted.augment((np.repeat(x, channels, -1), y))
    with pytest.raises(ValueError, match="got bool"):
        fitted.augment((x > 100, y))
    with pytest.raises(ValueError, match="at least one image"):
        fitted.augment((x[:0], y[:0]))
    with pytest.raises(ValueError, match="one label an image"):
        fitted.augment((x, y[:3]))
    with pytest.raises(ValueError, match=r"\(n, h, w\) or"):
        fitted.augment((x[0, 0], y[:16]))
    with pytest.raises(TypeError, match="torch DataLoader, got int"):
        fitted.augment(3)
    with pytest.raises(ValueError, match="got ndarray"):
        fitted.augment(_Bare())
    with pytest.raises(ValueError, match="num_batches"):
        fitted.augment(_Endless())


class _Bare(keras.utils.PyDataset):
    num_batches = 1

    def __getitem__(self, index: int) -> Any:
        return DATA.images


class _Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index: int) -> Any:
        return DATA.images[:4], DATA.labels[:4]
