"""What other senders do after an answer, written down from their sources. Times are seconds.

Each process of the simulation has a sender of its own. An agent collects for all processes of a
host instead, so a process stands for a host there.
"""

from __future__ import annotations

from benchmarks.fleet.quota import Answer
from benchmarks.fleet.rules import Backoff


def _client_delay(random: float, attempts: int) -> float:
    """Return the delay of Google's client libraries: 0.1 s at most, then 1.3 times as much."""
    return random * min(60.0, 0.1 * 1.3**attempts)


class Stock(Backoff):
    """google-cloud-logging's background thread: ten entries a request; what 429 refuses is lost."""

    linger, max_entries, splits = 0.0, 10, False

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Lose the batch to a quota; else retry as google-api-core does, for 60 s."""
        del size
        if answer is not Answer.DOWN or attempts > _STOCK_ATTEMPTS:
            return None
        return _client_delay(self._random(), attempts)


class FluentBit(Backoff):
    """fluent-bit's output `stackdriver`, as Google's Ops Agent configures it.

    Sources: fluent/fluent-bit, `plugins/out_stackdriver/stackdriver.c` at 32fb861 (an answer from
    400 to 499 is an error without a retry, other failures are retried). Its manual,
    administration/scheduling-and-retries (`scheduler.base` 5, `scheduler.cap` 2000).
    GoogleCloudPlatform/ops-agent, `confgenerator/fluentbit/service.go` and `outputs.go` (`Flush` 1,
    `Retry_Limit` 3; fluent-bit's own default is 1). A chunk of records holds about 2 MB.
    """

    linger, max_bytes, splits, beside = 1.0, 2_000_000, False, 1_000
    retries, base, cap = 3, 5.0, 2_000.0

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Lose the batch to a quota; else wait from `base` to twice as long each time, plus 1 s."""
        del size
        if answer is not Answer.DOWN or attempts > self.retries:
            return None
        longest = min(self.cap, self.base * 2.0**attempts)
        return 1.0 + self.base + self._random() * (longest - self.base)


class Exporter(Backoff):
    """The OpenTelemetry collector's exporter `googlecloud` after the batch processor.

    Sources: open-telemetry/opentelemetry-collector-contrib, `exporter/googlecloudexporter` at
    31fbc17: `factory.go` (`retry_on_failure` is off) and README (ten consumers of the queue).
    GoogleCloudPlatform/opentelemetry-operations-go, `exporter/collector/logs.go` at 9055911 (12 s
    for a call, requests of 10 MB). `logging/apiv2/logging_client.go` of googleapis/google-cloud-go
    (retries UNAVAILABLE and DEADLINE_EXCEEDED, not RESOURCE_EXHAUSTED). The batch processor's
    defaults are 0.2 s and 8,192 records.
    """

    linger, max_entries, max_bytes = 0.2, 8_192, 10_000_000
    splits, beside = False, 9

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Lose the batch to a quota; else retry as the client library does, for 12 s."""
        del size
        if answer is not Answer.DOWN or attempts > _EXPORTER_ATTEMPTS:
            return None
        return _client_delay(self._random(), attempts)


class Collector(Exporter):
    """The same exporter with `retry_on_failure` turned on, and its defaults."""

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Wait 5 s, half as long again each time, 30 s at most; lose the batch after 300 s."""
        del size, answer
        if attempts > _COLLECTOR_ATTEMPTS:
            return None
        return float(min(30.0, 5.0 * 1.5 ** (attempts - 1)) * (0.5 + self._random()))


_STOCK_ATTEMPTS = 22  # about 60 s
_EXPORTER_ATTEMPTS = 15  # about 12 s
_COLLECTOR_ATTEMPTS = 12  # about 300 s
