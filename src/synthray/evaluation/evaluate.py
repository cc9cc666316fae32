"""`evaluate_samples`: are synthetic images like real ones, as varied, and no copies?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray._parts import slices
from synthray.augmentation.classic import classic_augmentation
from synthray.backbones.image_features import Backbone, ImageFeatures, image_features
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import to_uint8
from synthray.duplicates.duplicates import image_array
from synthray.evaluation import distances
from synthray.evaluation.distances import Features, Neighbourhoods
from synthray.evaluation.memorization import Memorization, memorization
from synthray.exceptions import SynthrayWarning
from synthray.reports import pages, plots
from synthray.reports.figures import pair_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SHARES = ("precision", "recall", "density", "coverage")
_HEADINGS = ("KID", "95 % interval", "Frechet", *_SHARES)
_AS_GOOD = 0.9  # of a share that real images reach


@dataclass(frozen=True)
class SampleScores(Neighbourhoods):
    """How near one set of images is to held-out real ones.

    Attributes:
        kid: Kernel distance, 0 for the same distribution; may be a little below.
        kid_low: Lower end of its 95 % interval.
        kid_high: Upper end.
        frechet: Frechet distance as a share of the variance of real images, 0 or more. It is
            biased: above 0 even for real images, the more so the fewer there are.
        precision: Share of the images that lie among real ones, 0 to 1.
        recall: Share of the held-out images that lie among these, 0 to 1.
        density: 1 if these are as dense as real ones; above 1 if they crowd.
        coverage: Share of the held-out images that have one of these nearby, 0 to 1.
    """

    kid: float
    kid_low: float
    kid_high: float
    frechet: float


@dataclass(frozen=True, eq=False, repr=False)
class SampleReport:
    """Scores of synthetic images, and what they copied. `print` shows a table.

    Attributes:
        scores: `"synthetic"`, `"real"` (training images: the best that can be expected),
            `"augmented"` (classic augmentation of training images) and `"blurred"` (training images
            blurred by a Gaussian of one pixel), each compared with held-out images, in sets of
            equal size.
        judge: The network or function whose features were compared.
        n_judged: Images in each of those sets.
        memorization: What was copied; `None` if nothing looked for copies.
        pairs: Copies beside the training images that they show; without copies, the closest pairs
            of a synthetic and a training image. `to_dict` leaves them out.
        pictures: Some `"real"` images (held out) and some `"synthetic"` ones,
            `uint8 (n, h, w, c)`; `to_dict` leaves them out.
    """

    scores: dict[str, SampleScores]
    judge: str
    n_judged: int
    memorization: Memorization | None
    pairs: tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], ...] = field(default=())
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """What may be concluded, in words, of the synthetic images.

        They are "as near as real images" if their KID is within the interval of `"real"`, and "far
        from real" if it is above that of `"blurred"`. Then come precision, recall and coverage
        where they are below nine tenths of those of `"real"`.
        """
        own, real, blurred = (self.scores[name] for name in ("synthetic", "real", "blurred"))
        text = "nearer than real images blurred by one pixel, but not as near as real images"
        if own.kid <= real.kid_high:
            text = "as near as real images"
        elif own.kid >= blurred.kid:
            text = "far from real: worse than real images blurred by one pixel"
        shares = ("precision", "recall", "coverage")
        low = [name for name in shares if getattr(own, name) < _AS_GOOD * getattr(real, name)]
        return f"{text}; lower {', '.join(low)}" if low else text

    def __str__(self) -> str:
        """Return the table, and the verdicts on likeness and copies."""
        rows: list[tuple[str, ...]] = [("images", *_HEADINGS)]
        for name, s in self.scores.items():
            interval = f"[{s.kid_low:.3f}, {s.kid_high:.3f}]"
            shares = (f"{getattr(s, share):.2f}" for share in _SHARES)
            rows.append((name, f"{s.kid:.3f}", interval, f"{s.frechet:.3f}", *shares))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        copies = "Nothing looked for copies of training images."
        if self.memorization is not None:
            copies = self.memorization.describe()
        sizes = f"Each set of {self.n_judged} images, compared with as many held-out real ones"
        return "\n".join(
            [*lines, "", f"Synthetic images: {self.verdict}.", f"{sizes} by {self.judge}.", copies]
        )

    __repr__ = __str__

    def plot(self) -> Figure:
        """Draw KID with its interval, precision, recall, density and coverage of each set."""
        return plots.sample_scores(self)

    def plot_pairs(self, n: int = 8) -> Figure:
        """Draw the pairs: synthetic images above training images."""
        return pair_columns(self.pairs[:n], "synthetic", "training")

    def to_html(self, path: str | PathLike[str], *, title: str = "Synthetic images") -> None:
        """Write one self-contained page: scores, pictures, the verdict on copies, pairs.

        `ComparisonResult.to_html(samples=...)` takes the report in as a section.

        Args:
            path: The file. It needs no network and no other file.
            title: The heading.
        """
        Path(path).write_text(pages.samples_page(self, title), encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the images as JSON-ready values."""
        found = None
        if self.memorization is not None:
            found = asdict(self.memorization)
            for name in ("copies", "copied", "closest"):
                found[name] = found[name].tolist()
        return {
            "judge": self.judge,
            "verdict": self.verdict,
            "n_judged": self.n_judged,
            "scores": {name: asdict(scores) for name, scores in self.scores.items()},
            "memorization": found,
        }


_FEWEST = 20
_SHOWN = 16  # pictures
_PAIRS = 8
_AT_ONCE = 256

Images = ImageDataset | NDArray[np.uint8]


def evaluate_samples(
    real_train: Images,
    synthetic: Images,
    real_holdout: Images,
    *,
    features: ImageFeatures | Backbone | None = None,
    copies: bool = True,
    seed: int = 0,
) -> SampleReport:
    """Measure how like real images synthetic ones are, how varied, and whether they are copies.

    Synthetic images are compared with real ones that no generator has seen, beside three
    references: training images, their classic augmentation, and the same images blurred by one
    pixel. `verdict` says in words where the synthetic images stand among these. Give one class at a
    time: otherwise a generator that mixes classes up goes unnoticed. All sets are cut to the size
    of the smallest, since Frechet distance, coverage and recall change with the number of images;
    features are scaled to deviation 1 over the training images.

    | score | source |
    |---|---|
    | KID | Binkowski et al. 2018 (arXiv 1801.01401) |
    | Frechet distance | Heusel et al. 2017 (arXiv 1706.08500) |
    | precision, recall | Kynkaanniemi et al. 2019 (arXiv 1904.06991) |
    | density, coverage | Naeem et al. 2020 (arXiv 2002.09797) |

    Radiologists agree with features learnt from ImageNet better than with those of networks trained
    on radiographs (Woodland et al. 2024, arXiv 2311.13717).

    Args:
        real_train: The images that the generator learnt from: an `ImageDataset`, or `uint8` of
            shape `(n, h, w)` or `(n, h, w, c)`. If it is a data set with groups, `authenticity`
            compares training images of different groups only.
        synthetic: What the generator made, in the same form and shape.
        real_holdout: Real images of other patients, at least 20.
        features: What judges: [`ImageFeatures`][synthray.ImageFeatures], or what these take as a
            backbone: a `keras.Model` or a function from `uint8` images `(n, h, w, c)` to numbers
            `(n, d)`. The default is `ImageFeatures("judging")`. Compare values of one kind of
            features only.
        copies: Whether to look for copies of training images, which takes the longest.
        seed: Seed of the choice of images, parts and augmentation.

    Raises:
        TypeError: If a set is neither a data set nor an array.
        ValueError: If a set has fewer than 20 images or another shape, or features are not finite
            numbers, one row an image.

    Warns:
        SynthrayWarning: If the network that judges has made or chosen the synthetic images.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> data = sr.make_phantoms(90, image_shape=(32, 32, 1), seed=0).images
        >>> noise = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 1), np.uint8)
        >>> report = sr.evaluate_samples(data[:30], noise, data[60:], copies=False)
        >>> report.verdict.split(";")[0]
        'far from real: worse than real images blurred by one pixel'
    """
    given = {"real_train": real_train, "synthetic": synthetic, "real_holdout": real_holdout}
    sets = {name: image_array(images, name) for name, images in given.items()}
    shapes = {name: images.shape[1:] for name, images in sets.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Expected images of one shape, got {shapes}. Load or resize them alike.")
    n = min(map(len, sets.values()))
    if n < _FEWEST:
        lengths = {name: len(images) for name, images in sets.items()}
        raise ValueError(f"Expected at least {_FEWEST} images a set, got {lengths}.")
    judge = image_features(features, "judging")
    if isinstance(synthetic, ImageDataset) and judge.name in _networks(synthetic.provenance):
        warnings.warn(
            f"{judge.name} judges images that it made or chose itself, so the scores are too good. "
            "Pass features= of another network.",
            SynthrayWarning,
            stacklevel=2,
        )
    rng = np.random.default_rng(seed)
    chosen = {name: rng.permutation(len(images))[:n] for name, images in sets.items()}
    train = sets["real_train"][chosen["real_train"]]
    references = {"augmented": _augmented(train, seed), "blurred": blurred(train)}
    every = sets | references
    described = distances.standardised(*(judge(images) for images in every.values()))
    found = dict(zip(every, described, strict=True))
    cut = found | {name: found[name][rows] for name, rows in chosen.items()}
    compared = {"synthetic": "synthetic", "real": "real_train"} | {
        name: name for name in references
    }
    scores = {
        shown: sample_scores(cut["real_holdout"], cut[name], seed=seed)
        for shown, name in compared.items()
    }
    screen, pairs = None, []
    if copies:
        screen = memorization(
            *(found[name] for name in given),
            train=sets["real_train"],
            synthetic=sets["synthetic"],
            groups=real_train.group_codes if isinstance(real_train, ImageDataset) else None,
        )
        pairs = list(zip(screen.copies, screen.copied, strict=True)) or list(screen.closest)
    pictures = {"real": "real_holdout", "synthetic": "synthetic"}
    return SampleReport(
        scores=scores,
        judge=judge.describe(),
        n_judged=n,
        memorization=screen,
        pairs=tuple((sets["synthetic"][i], sets["real_train"][j]) for i, j in pairs[:_PAIRS]),
        pictures={shown: sets[name][chosen[name][:_SHOWN]] for shown, name in pictures.items()},
    )


def sample_scores(real: Features, images: Features, *, seed: int = 0) -> SampleScores:
    """Compare features of images with those of held-out real ones, after `standardised`."""
    kid, low, high = distances.kernel_distance_interval(real, images, seed=seed)
    frechet = distances.frechet_distance(real, images)
    near = asdict(distances.neighbourhoods(real, images))
    return SampleScores(kid=kid, kid_low=low, kid_high=high, frechet=frechet, **near)


def blurred(images: NDArray[np.uint8], sigma: float = 1.0) -> NDArray[np.uint8]:
    """Return images blurred by a Gaussian, whose deviation is in pixels."""
    from scipy.ndimage import gaussian_filter

    return to_uint8(gaussian_filter(images, (0, sigma, sigma, 0), output=np.float32))


def _augmented(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    layers = classic_augmentation(seed=seed)
    parts = [
        layers(images[rows].astype(np.float32), training=True)
        for rows in slices(len(images), _AT_ONCE)
    ]
    return to_uint8(np.concatenate([ops.convert_to_numpy(part) for part in parts]))


def _networks(provenance: Any) -> Iterator[str]:
    """Return the networks that made or chose images, as a provenance or its parts say."""
    if isinstance(provenance, Mapping):
        yield from provenance.get("networks", ())
        provenance = list(provenance.values())
    if isinstance(provenance, list):
        for part in provenance:
            yield from _networks(part)
