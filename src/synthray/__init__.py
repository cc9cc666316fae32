"""Generative models for small labelled sets of medical images, and proof of what they add."""

from importlib.metadata import version as _version

from synthray.augmentation.classic import RandomAffine, classic_augmentation
from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.augmenter.translation_augmenter import TranslationAugmenter
from synthray.backbones.efficientnet_lite import load_backbone
from synthray.backbones.image_features import ImageFeatures
from synthray.callbacks.sample_grid import SampleGrid
from synthray.callbacks.sample_monitor import SampleMonitor
from synthray.callbacks.snapshots import Snapshots
from synthray.callbacks.training_guard import TrainingGuard
from synthray.classifiers.cross_fitted_teacher import CrossFittedTeacher
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.classifiers.transfer_classifier import TransferClassifier
from synthray.comparison.arms import ARMS, CONTROLS, Arm, Phase
from synthray.comparison.result import ArmRun, ComparisonResult
from synthray.comparison.runner import run_comparison, train_classifier
from synthray.comparison.training import Training
from synthray.comparison.tuning import TuningReport, tune
from synthray.datasets.dicom_folder import load_dicom_folder
from synthray.datasets.image_dataset import ImageDataset, SkippedFile
from synthray.datasets.image_folder import load_image_folder
from synthray.datasets.medmnist import load_medmnist
from synthray.duplicates.audit import audit_images
from synthray.duplicates.audit_report import AuditReport
from synthray.duplicates.duplicates import find_duplicates
from synthray.duplicates.leakage import LeakageReport, audit_leakage
from synthray.evaluation.evaluate import SampleReport, SampleScores, evaluate_samples
from synthray.evaluation.filtering import FilterReport, filter_samples
from synthray.evaluation.nearest import plot_nearest
from synthray.exceptions import (
    DivergenceError,
    DivergenceWarning,
    FileFormatError,
    LeakageError,
    LeakageWarning,
    SkippedFilesWarning,
    SynthrayWarning,
)
from synthray.generators.cyclegan import CycleGAN
from synthray.generators.dcgan import DCGAN
from synthray.generators.gan import GAN
from synthray.generators.projected_gan import ProjectedGAN
from synthray.generators.r3gan import R3GAN
from synthray.phantoms.phantoms import make_phantoms
from synthray.statistics.metrics import Scores
from synthray.statistics.verdicts import Difference, Interval, Statistics

__version__ = _version("synthray")

__all__ = [
    "ARMS",
    "CONTROLS",
    "DCGAN",
    "GAN",
    "R3GAN",
    "Arm",
    "ArmRun",
    "AuditReport",
    "ComparisonResult",
    "CrossFittedTeacher",
    "CycleGAN",
    "Difference",
    "DivergenceError",
    "DivergenceWarning",
    "FileFormatError",
    "FilterReport",
    "FractureClassifier",
    "ImageDataset",
    "ImageFeatures",
    "Interval",
    "LeakageError",
    "LeakageReport",
    "LeakageWarning",
    "Phase",
    "ProjectedGAN",
    "RandomAffine",
    "SampleGrid",
    "SampleMonitor",
    "SampleReport",
    "SampleScores",
    "Scores",
    "SkippedFile",
    "SkippedFilesWarning",
    "Snapshots",
    "Statistics",
    "SyntheticAugmenter",
    "SynthrayWarning",
    "Training",
    "TrainingGuard",
    "TransferClassifier",
    "TranslationAugmenter",
    "TuningReport",
    "__version__",
    "audit_images",
    "audit_leakage",
    "classic_augmentation",
    "evaluate_samples",
    "filter_samples",
    "find_duplicates",
    "load_backbone",
    "load_dicom_folder",
    "load_image_folder",
    "load_medmnist",
    "make_phantoms",
    "plot_nearest",
    "run_comparison",
    "train_classifier",
    "tune",
]
