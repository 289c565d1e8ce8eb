"""What the tests of the demo share."""

from __future__ import annotations

import pytest
from packages import need_uwsgi


@pytest.fixture
def uwsgi() -> None:
    """Skip the test where there is no uWSGI."""
    need_uwsgi()
