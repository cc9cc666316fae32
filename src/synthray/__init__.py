"""Generative models for small labelled sets of medical images, and proof of what they add."""

from synthray._version import __version__
from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.datasets.image_dataset import ImageDataset, SkippedFile
from synthray.datasets.image_folder import load_image_folder
from synthray.datasets.medmnist import load_medmnist
from synthray.datasets.phantoms import make_phantoms
from synthray.generators.callbacks import SampleGrid
from synthray.generators.dcgan import DCGAN
from synthray.generators.gan import GAN

__all__ = [
    "DCGAN",
    "GAN",
    "ImageDataset",
    "SampleGrid",
    "SkippedFile",
    "SyntheticAugmenter",
    "__version__",
    "load_image_folder",
    "load_medmnist",
    "make_phantoms",
]
