"""Generative models for small labelled sets of medical images, and proof of what they add."""

from synthray._version import __version__
from synthray.audit.duplicates import find_duplicates
from synthray.audit.leakage import audit_leakage
from synthray.audit.leakage_report import LeakageReport
from synthray.audit.samples.evaluate import evaluate_samples
from synthray.audit.samples.features import random_features
from synthray.audit.samples.filtering import FilterReport, filter_samples
from synthray.audit.samples.report import SampleReport, SampleScores
from synthray.audit.samples.teacher import CrossFittedTeacher
from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.augmenter.translation_augmenter import TranslationAugmenter
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison.affine import RandomAffine
from synthray.comparison.arms import ARMS, CONTROLS, Arm
from synthray.comparison.augmentation import classic_augmentation
from synthray.comparison.metrics import Scores
from synthray.comparison.phases import Phase
from synthray.comparison.result import ArmRun, ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.comparison.single import train_classifier
from synthray.comparison.tuning import TuningReport, tune
from synthray.comparison.verdicts import Difference, Interval, Statistics
from synthray.datasets.image_dataset import ImageDataset, SkippedFile
from synthray.datasets.image_folder import load_image_folder
from synthray.datasets.medmnist import load_medmnist
from synthray.datasets.phantoms import make_phantoms
from synthray.generators.callbacks import SampleGrid
from synthray.generators.cyclegan import CycleGAN
from synthray.generators.dcgan import DCGAN
from synthray.generators.gan import GAN
from synthray.generators.guard import TrainingGuard
from synthray.generators.r3gan import R3GAN
from synthray.generators.sample_monitor import SampleMonitor
from synthray.generators.snapshots import Snapshots

__all__ = [
    "ARMS",
    "CONTROLS",
    "DCGAN",
    "GAN",
    "R3GAN",
    "Arm",
    "ArmRun",
    "ComparisonResult",
    "CrossFittedTeacher",
    "CycleGAN",
    "Difference",
    "FilterReport",
    "FractureClassifier",
    "ImageDataset",
    "Interval",
    "LeakageReport",
    "Phase",
    "RandomAffine",
    "SampleGrid",
    "SampleMonitor",
    "SampleReport",
    "SampleScores",
    "Scores",
    "SkippedFile",
    "Snapshots",
    "Statistics",
    "SyntheticAugmenter",
    "TrainingGuard",
    "TranslationAugmenter",
    "TuningReport",
    "__version__",
    "audit_leakage",
    "classic_augmentation",
    "evaluate_samples",
    "filter_samples",
    "find_duplicates",
    "load_image_folder",
    "load_medmnist",
    "make_phantoms",
    "random_features",
    "run_comparison",
    "train_classifier",
    "tune",
]
