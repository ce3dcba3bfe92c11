"""``python -m fastscratch`` is the command line."""

import sys

from fastscratch.cli import main

if __name__ == "__main__":
    sys.exit(main())
