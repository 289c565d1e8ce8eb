"""The prototype of a compiled core: `plain.c`, built where it is measured, and never shipped."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent / "plain.c"


def build(folder: Path) -> Path:
    """Compile the module for this interpreter, and return its file.

    Raises:
        OSError: there is no C compiler.
        subprocess.CalledProcessError: it failed, as it does without Python's headers.
    """
    file = folder / "plain.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    include = f"-I{sysconfig.get_path('include')}"
    command = [compiler, "-O3", "-fPIC", "-shared", include, str(SOURCE), "-o", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file


def load(file: Path) -> Any:
    """Import the module from its file."""
    spec = importlib.util.spec_from_file_location("plain", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["plain"] = module
    return module
