"""``python -m forklog``: the command line."""

from __future__ import annotations

import sys

from forklog.cli import main

sys.exit(main())
