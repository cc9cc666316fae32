"""Two processes on one folder: the second is told which holds it; it is free when that dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers import comparisons, faults
from helpers.counts import count

pytestmark = pytest.mark.slow


def refused(function: Any, holder: Any, folder: Path) -> None:
    with faults.started(holder, folder) as process:
        for _ in range(2):  # being refused frees nothing
            with pytest.raises(RuntimeError, match=rf"{folder}.* in use by process {process.pid} "):
                function(folder)
            count("contended workdirs")
    # Now that one is dead, by SIGKILL.


def test_a_workdir_has_one_process(tmp_path: Path) -> None:
    refused(faults.compared, faults.hang_in_comparison, tmp_path / "work")
    comparisons.assert_equal(faults.compared(tmp_path / "work"), faults.compared(None))


def test_a_folder_of_checkpoints_has_one_process(tmp_path: Path) -> None:
    refused(faults.fitted, faults.hang_in_fit, tmp_path / "work")
    assert faults.fitted(tmp_path / "work").fingerprint() == faults.fitted(None).fingerprint()
