"""huey's side of the small application, with its queue in a file; jobs are enqueued here, too."""

from __future__ import annotations

import os
import sys

from huey import SqliteHuey
from small_app import note

huey = SqliteHuey(filename=os.environ["SMALL_QUEUE"])


@huey.task()
def job(number: int) -> None:
    """Log a record."""
    note(f"job {number}")


if __name__ == "__main__":
    import small_huey

    for count in range(int(sys.argv[1])):
        small_huey.job(count)
