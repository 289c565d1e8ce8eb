"""`python -m forklog.emulator`: the same as `forklog emulator`."""

from __future__ import annotations

import argparse
import sys

from forklog.emulator.command import add_arguments, run


def main() -> int:
    """Run the emulator with the arguments of this process; return its exit status."""
    parser = argparse.ArgumentParser("forklog emulator", description="a local Cloud Logging")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
