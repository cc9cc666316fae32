"""`python -m synthray`: the command `synthray`."""

import sys

from synthray.cli import main

if __name__ == "__main__":
    sys.exit(main())
