from __future__ import annotations

import pytest

from synthray._keras.backend import onednn_is_off


@pytest.mark.parametrize(
    ("flags", "off"),
    [
        ("flags : fpu avx avx2 fma", True),
        ("flags : fpu avx avx2 fma avx512f", True),
        ("flags : fpu avx avx2 avx512_vnni", False),
        ("flags : fpu avx avx2 avx_vnni", False),
        ("Features : fp asimd", False),
    ],
)
def test_processors_where_tensorflow_leaves_onednn_off(flags: str, off: bool) -> None:
    assert onednn_is_off(flags) is off
