"""Run README's code, with fewer images and epochs, in the environment of the wheel.

`make test` has run it as it is; here it shows that the wheel holds all that it needs.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import synthray

PYTHON_BLOCK = re.compile(r"^(<!-- skip: next -->\s+)?```python\n(.*?)^```$", re.M | re.S)

package = Path(synthray.__file__).resolve().parent
if not package.is_relative_to(Path(sys.prefix).resolve()):
    sys.exit(f"synthray comes from {package}, not from the wheel in {sys.prefix}")
if not (package / "py.typed").is_file():
    sys.exit("the wheel lacks py.typed")

readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
script = "\n".join(code for skipped, code in PYTHON_BLOCK.findall(readme) if not skipped)
if not script:
    sys.exit("README.md holds no Python code")
script = re.sub(r"make_phantoms\(\d+", "make_phantoms(200", script)
script = re.sub(r"epochs=\d+", "epochs=1", script)
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    exec(compile(script, "README.md", "exec"), {"__name__": "__main__"})
print(f"README's code runs on the wheel of synthray {synthray.__version__}")
