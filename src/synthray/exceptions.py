"""What the library warns of and raises, to filter and to catch.

Errors are also the built-in kind that they are nearest to, so that `except ValueError` sees them.
"""

from __future__ import annotations


class SynthrayWarning(UserWarning):
    """Any warning of the library."""


class LeakageWarning(SynthrayWarning):
    """Images that judge are known from training."""


class DivergenceWarning(SynthrayWarning):
    """A training broke down: it was taken back, or its result does not count."""


class SkippedFilesWarning(SynthrayWarning):
    """Files could not be used and were left out."""


class LeakageError(ValueError):
    """Images that judge are known from training, and the caller asked to stop there."""


class DivergenceError(RuntimeError):
    """A training broke down and could not be saved, or a model that broke down was used."""


class FileFormatError(ValueError):
    """A file is damaged, or is not what it should be; the message names it."""
