"""Keep billiard's own races out of test_celery.py: a worker may be ended when all is calm.

Where the broker cannot be polled asynchronously, as the example's, billiard's Supervisor thread
replaces children. A warm shutdown in the middle of that leaves one without the message to end.
Those that it has forked have between none and 0.8 s to end. That is since celery has the kernel
kill a child whose parent has died, by which the kernel means the thread.
"""

from __future__ import annotations

import os

from billiard.util import set_pdeathsig
from celery.signals import worker_process_init


@worker_process_init.connect(weak=False)
def be_born(**_signal: object) -> None:
    """Take back what celery has asked the kernel for, and tell the test."""
    set_pdeathsig(0)
    os.write(2, b"child %d is up\n" % os.getpid())
