"""Generative models for small labelled sets of medical images, and proof of what they add."""

from synthray._version import __version__
from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison.affine import RandomAffine
from synthray.comparison.arms import ARMS, Arm, Phase
from synthray.comparison.augmentation import classic_augmentation
from synthray.comparison.leaks import LeakCheck
from synthray.comparison.metrics import Scores
from synthray.comparison.result import ArmRun, ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.datasets.image_dataset import ImageDataset, SkippedFile
from synthray.datasets.image_folder import load_image_folder
from synthray.datasets.medmnist import load_medmnist
from synthray.datasets.phantoms import make_phantoms
from synthray.generators.callbacks import SampleGrid
from synthray.generators.dcgan import DCGAN
from synthray.generators.gan import GAN

__all__ = [
    "ARMS",
    "DCGAN",
    "GAN",
    "Arm",
    "ArmRun",
    "ComparisonResult",
    "FractureClassifier",
    "ImageDataset",
    "LeakCheck",
    "Phase",
    "RandomAffine",
    "SampleGrid",
    "Scores",
    "SkippedFile",
    "SyntheticAugmenter",
    "__version__",
    "classic_augmentation",
    "load_image_folder",
    "load_medmnist",
    "make_phantoms",
    "run_comparison",
]
