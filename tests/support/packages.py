"""Skips tests that need a package where there is none for the running Python yet."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def need_uwsgi() -> None:
    """Skip the test where there is no uWSGI."""
    if find_spec("pyuwsgi") is None:
        pytest.skip("pyuwsgi has no wheel for this Python")


def need_redis_scripts() -> None:
    """Skip the test where fakeredis cannot run the scripts of RQ."""
    if find_spec("lupa") is None:
        pytest.skip("lupa, which runs scripts on fakeredis, has no wheel for this Python")
