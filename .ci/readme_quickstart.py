"""Print the Python code blocks of a Markdown file, as one script."""

from __future__ import annotations

import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text(encoding="utf-8")
blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
if not blocks:
    sys.exit(f"{sys.argv[1]} holds no Python code block")
print("\n".join(blocks))
