"""Settings of Django that call `forklog.setup`: Django configures logging after their import."""

from __future__ import annotations

import forklog

ALLOWED_HOSTS = ["*"]
MIDDLEWARE = ["forklog.middleware.DjangoMiddleware"]
ROOT_URLCONF = "early_django"
SECRET_KEY = "of a test"  # noqa: S105 - it signs nothing

forklog.setup(max_latency=0.1, access_log=True)
