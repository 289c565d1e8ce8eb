"""Yields findings about where records go and what became of the dry run, from the facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import requests

from forklog.diagnosis.facts import Delivery, Process
from forklog.diagnosis.finding import Finding, note, ok, problem
from forklog.option_checks import is_loopback

_ROBOTS = ".gserviceaccount.com"
_ACCOUNT = re.compile(r"[\w.+\-]+@[\w.\-]+\Z")  # what is safe in a command that a person copies
_NO_LOGIN = (
    "run 'gcloud auth application-default login' on a desk, attach a service account to the "
    "machine in production, or set GOOGLE_APPLICATION_CREDENTIALS to a file"
)


def judge_delivery(process: Process, delivery: Delivery) -> Iterator[Finding]:
    """Yield the findings about one way to a log."""
    yield from _judge_endpoint(process, delivery)
    judge = _JUDGES.get(delivery.outcome, _unfinished)
    yield judge(delivery)
    if delivery.credentials == "user credentials" and process.platform:
        yield note(
            "user-credentials",
            f"a person's credentials are used on {process.platform}; they end when the person's do",
            "use a service account",
        )


def _judge_endpoint(process: Process, delivery: Delivery) -> Iterator[Finding]:
    is_emulator = delivery.endpoint_from == "LOGGING_EMULATOR_HOST"
    if is_emulator and process.platform:
        yield problem(
            "emulator-in-production",
            f"LOGGING_EMULATOR_HOST is set and this looks like production "
            f"({process.platform}, {process.platform_sign} is set): records go to "
            f"{delivery.endpoint} and not to Google",
            "unset LOGGING_EMULATOR_HOST",
        )
    elif is_emulator:
        yield note("emulator", f"records go to the emulator at {delivery.endpoint}, not to Google")
    elif delivery.endpoint and is_loopback(delivery.endpoint) and process.platform:
        yield note(
            "local-endpoint",
            f"records go to {delivery.endpoint}, on this machine, though it looks like production "
            f"({process.platform})",
            "leave out the option endpoint, unless a relay listens there",
        )


def _accepted(delivery: Delivery) -> Finding:
    return ok("dry-run", f"{_who(delivery)} accepted a dry run after {delivery.seconds:.3f} s")


def _skipped(delivery: Delivery) -> Finding:
    return note("dry-run-skipped", delivery.reason or "no dry run was made")


def _refused(delivery: Delivery) -> Finding:
    return problem(
        "dry-run-refused",
        f"{_who(delivery)} refused the entry of the dry run ({_words(delivery)})",
        "check the options project, log_name, labels and resource, and the machine's clock",
    )


def _blocked(delivery: Delivery) -> Finding:
    reason, _, remedy = delivery.reason.partition(": " if delivery.status else "; ")
    if delivery.answer:  # it may have a colon of the server's
        reason, remedy = delivery.answer, delivery.reason.removeprefix(f"{delivery.answer}: ")
    words = _words_of(reason, delivery)
    account = f" (account {delivery.account})" if delivery.account else ""
    return problem(
        "dry-run-refused" if delivery.status else "no-access",
        f"{_who(delivery)} takes no entries{account}: {words}",
        _grant(delivery, remedy or "check credentials and project"),
    )


def _grant(delivery: Delivery, remedy: str) -> str:
    """Add the command that grants the role, where it is known to whom."""
    if delivery.status != requests.codes.forbidden or not _ACCOUNT.match(delivery.account):
        return remedy
    kind = "serviceAccount" if delivery.account.endswith(_ROBOTS) else "user"
    return (
        f"{remedy}; or run: gcloud projects add-iam-policy-binding {delivery.project} "
        f"--member={kind}:{delivery.account} --role=roles/logging.logWriter"
    )


_LATER = "look again in a minute; if it stays, see the quotas and the status page of Cloud Logging"


def _retry(delivery: Delivery) -> Finding:
    if delivery.status:
        reason, remedy = delivery.reason, _LATER
        if delivery.answer and reason.startswith(f"{delivery.answer}: "):
            reason, remedy = delivery.answer, reason.removeprefix(f"{delivery.answer}: ")
        words, who = _words_of(reason, delivery), _who(delivery)
        text = words if words.startswith(who) else f"{who} cannot take entries now: {words}"
        return problem(
            "dry-run-failed",
            f"{text}; records wait in memory and are sent again until it can take them",
            remedy,
        )
    return problem(
        "unreachable",
        f"{_who(delivery)} cannot be reached: {_words(delivery)}; records wait in memory, and the "
        "oldest and least severe are dropped when it is full",
        _way_to(delivery),
    )


def _way_to(delivery: Delivery) -> str:
    if delivery.endpoint_from == "LOGGING_EMULATOR_HOST":
        port = delivery.endpoint.rpartition(":")[2]
        where = f" --port {port}" if port.isdecimal() else ""
        return f"start it with 'forklog emulator{where}', or unset LOGGING_EMULATOR_HOST"
    if "certificate" in delivery.detail.lower():
        return "have REQUESTS_CA_BUNDLE name the certificates of the proxy in between"
    if delivery.proxy:
        return f"check the proxy {delivery.proxy} (HTTPS_PROXY, NO_PROXY)"
    if is_loopback(delivery.endpoint):
        return f"start what is to listen at {delivery.endpoint}"
    return "check DNS, firewall and Private Google Access of this network"


def _no_credentials(_delivery: Delivery) -> Finding:
    return problem(
        "no-credentials",
        "no Google credentials were found: entries go to stderr as JSON lines and not to Cloud "
        "Logging",
        f"{_NO_LOGIN}; or point LOGGING_EMULATOR_HOST at 'forklog emulator'",
    )


def _unfinished(delivery: Delivery) -> Finding:
    return problem(
        "dry-run-unfinished",
        f"the dry run did not end in time; it was {delivery.step}",
        "look what that step waits for (network, metadata server, proxy), or allow it more time "
        "(--timeout)",
    )


def _failed(delivery: Delivery) -> Finding:
    return problem(
        "dry-run-failed",
        f"the dry run ended by {delivery.reason} while {delivery.step}",
        "report it as a bug of forklog",
    )


def _who(delivery: Delivery) -> str:
    return delivery.endpoint or "the endpoint"


def _words(delivery: Delivery) -> str:
    return _words_of(delivery.reason, delivery)


def _words_of(reason: str, delivery: Delivery) -> str:
    """Return a reason and the server's own words, once."""
    detail = "" if delivery.detail in reason else delivery.detail
    return ": ".join(filter(None, (reason, detail)))


_JUDGES = {
    "accepted": _accepted,
    "refused": _refused,
    "blocked": _blocked,
    "retry": _retry,
    "no_credentials": _no_credentials,
    "skipped": _skipped,
    "unfinished": _unfinished,
    "failed": _failed,
}
