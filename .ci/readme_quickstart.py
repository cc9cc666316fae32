"""Print the Python code blocks of a Markdown file, as one script, with fewer images and epochs.

`make test` has run them as they are; here they show that the wheel holds all that they need. Blocks
that are marked `skip: next` are left out by both.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text(encoding="utf-8")
found = re.findall(
    r"^(<!-- skip: next -->\n+)?```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL
)
blocks = [block for skipped, block in found if not skipped]
if not blocks:
    sys.exit(f"{sys.argv[1]} holds no Python code block")
script = "\n".join(blocks)
for as_written, fewer in (("make_phantoms(600", "make_phantoms(200"), ("epochs=15", "epochs=1")):
    if as_written not in script:
        sys.exit(f"{sys.argv[1]} no longer has {as_written!r}: adapt {Path(__file__).name}")
    script = script.replace(as_written, fewer)
print(script)
