"""Numbers in, text and pictures out: tables, figures, pages."""

from __future__ import annotations

from typing import Any

Comparison = Any
"""A `ComparisonResult`, known by its attributes: this package imports none that imports it."""

SampleReport = Any
"""A `SampleReport`, known in the same way."""

AuditReport = Any
"""An `AuditReport`, known in the same way."""
