"""`python -m forklog.emulator`: the same as `forklog emulator`."""

from __future__ import annotations

import sys

from forklog import cli


def main() -> int:
    """Run the emulator with the arguments of this process; return its exit status."""
    return cli.main(["emulator", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
