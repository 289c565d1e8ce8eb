"""Faults that once stopped, lost or leaked: each has tests that name its class and its siblings."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_DELIVERY = "unit/delivery"
_PROCESS = "unit/process"
_TRANSPORTS = "unit/transports"
_LAST_RESORT = f"{_DELIVERY}/test_last_resort.py"
_GUARD = "emulator/server/test_guard.py"
_CASES = {
    "an exit with several handlers takes one timeout": [
        f"{_PROCESS}/test_one_deadline.py::test_an_exit_with_five_handlers_takes_one_timeout"
    ],
    "a new configuration of several handlers takes one timeout": [
        f"{_PROCESS}/test_one_deadline.py::test_handlers_that_are_closed_together_take_one_timeout"
    ],
    "the main thread returns while another thread logs on": [
        (
            f"{_PROCESS}/test_exit_hooks.py"
            "::test_the_end_of_the_main_thread_is_no_end_while_others_live"
        )
    ],
    "a program goes on after uvicorn": [
        "servers/test_uvicorn.py::test_a_program_that_goes_on_after_ctrl_c"
    ],
    "an exception ends a worker of uWSGI": [
        "servers/test_uwsgi_exceptions.py::test_a_request_that_raises_ends_its_worker"
    ],
    "a dirty worker of gunicorn ends": [
        "servers/test_gunicorn_dirty.py::test_a_dirty_worker_delivers_at_its_end"
    ],
    "Ctrl-C while the exit waits": [
        f"{_PROCESS}/test_interrupted_exit.py::test_ctrl_c_while_the_exit_waits"
    ],
    "a record after logging.shutdown": [
        f"{_PROCESS}/test_interrupted_exit.py::test_a_record_after_logging_shutdown"
    ],
    "a fork in a thread that then ends": [
        "fork/test_forking_thread.py::test_the_child_delivers_and_ends",
        "fork/test_forking_thread.py::test_the_child_ends_in_an_outage",
    ],
    "a signal handler raises in the first record": [
        "reentrancy/test_struck.py::test_the_first_record",
        "reentrancy/test_timers.py::test_signal_handlers_that_raise_while_records_are_logged",
    ],
    "a signal handler raises in a wake-up": ["reentrancy/test_struck.py::test_the_wake_up"],
    "a record near the recursion limit": [
        (
            "reentrancy/test_recursion.py"
            "::test_a_call_near_the_limit_raises_nowhere_that_another_handler_would_not"
        )
    ],
    "a thread that cannot be started once": [
        f"{_DELIVERY}/test_host.py::test_a_start_that_failed_is_tried_again"
    ],
    "a lock of a pool is held at a fork": [
        "fork/test_inherited.py::test_a_child_ends_whatever_locks_of_the_pools_are_held"
    ],
    "a fork copies the flush greenlet": [
        "fork/test_green.py::test_forks_while_a_request_is_under_way"
    ],
    "one record that is always refused": [
        f"{_DELIVERY}/test_sender.py::test_one_bad_record_stops_no_other",
        f"{_DELIVERY}/test_in_flight.py::test_one_culprit_is_found_in_a_bounded_number_of_requests",
    ],
    "an outage with a small buffer": [
        "wire/test_faults.py::test_down_for_longer_than_the_buffer_lasts",
        f"{_DELIVERY}/test_sender.py::test_a_batch_takes_at_most_a_quarter_of_the_buffer",
    ],
    "a metadata server without an end": [
        f"{_TRANSPORTS}/test_metadata.py::test_a_byte_now_and_then_is_no_answer",
        f"{_TRANSPORTS}/test_metadata.py::test_an_answer_without_end_costs_little",
    ],
    "a slow metadata server": [f"{_TRANSPORTS}/test_metadata.py::test_slow_is_not_absent"],
    "stderr of any kind": [
        "unit/stderr/test_descriptor.py::test_no_exit_hangs_where_the_reader_stopped",
        "unit/stderr/test_descriptor.py::test_no_line_is_lost_while_it_is_read",
    ],
    "a success that is not the API's": [
        f"{_TRANSPORTS}/test_http_verdict.py::test_no_other_success_confirms",
        "wire/test_client_transport.py::test_over_http_a_json_object_alone_confirms",
    ],
    "the clock is set before a fork": ["fork/test_clock.py::test_the_clock_is_set_before_the_fork"],
    "a proxy before loopback": [
        "wire/test_tokens.py::test_loopback_never_goes_by_a_proxy",
        "wire/test_tokens.py::test_a_client_of_googles_shares_no_token_with_a_proxy",
    ],
    "a secret in the value of an option": [
        "unit/test_options.py::test_no_error_shows_what_may_be_a_secret",
        "unit/test_options.py::test_no_option_shows_a_user_or_what_a_container_holds",
        "wire/test_emulator_variable.py::test_a_wrong_variable_is_named",
        f"{_TRANSPORTS}/test_source.py::test_a_key_in_place_of_a_path_is_not_shown",
    ],
    "control characters in foreign text": [
        "unit/stderr/test_printable.py::test_any_text_becomes_one_printable_line",
        f"{_TRANSPORTS}/test_http_verdict.py::test_the_servers_words_are_one_printable_line",
        "diagnosis/test_foreign_words.py::test_the_machine_s_words_are_printable",
    ],
    "a child that is started in on_drop": [
        (
            f"{_PROCESS}/test_thread.py"
            "::test_a_child_started_in_on_drop_has_the_signals_that_it_would_have"
        )
    ],
    "the file of the last resort": [
        f"{_LAST_RESORT}::test_a_folder_of_another_user_is_refused",
        f"{_LAST_RESORT}::test_a_folder_that_is_swapped_meanwhile_is_not_followed",
        f"{_LAST_RESORT}::test_an_existing_file_is_made_private",
        f"{_LAST_RESORT}::test_a_torn_line_stays_alone",
    ],
    "who may call the emulator": [
        f"{_GUARD}::test_pages_and_rebound_names_are_refused",
        f"{_GUARD}::test_a_post_must_be_json",
        f"{_GUARD}::test_nothing_else_listens",
        f"{_GUARD}::test_arguments_are_refused_by_their_rule",
    ],
    "a filter that holds the emulator": [
        "emulator/filter/test_bounds.py::test_an_expression_cannot_hold_the_server",
        "emulator/filter/test_bounds.py::test_a_large_filter_is_refused",
    ],
}
_ON_EACH_PYTHON = ("fork/", "reentrancy/", _PROCESS, _DELIVERY, "unit/encoding/")
"""What .ci/run runs on each Python as whole folders."""
_FORM = re.compile(r"Class of fault: (\S[^;]+); siblings: (\S.+?)\.(?: |$)")


@cache
def _docstrings_of(file: Path) -> dict[str, str]:
    """Return the docstring of each test, by its name, as one line."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: " ".join((ast.get_docstring(node) or "").split()) for node in functions}


@cache
def _all_tests() -> set[str]:
    files = (_ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in _docstrings_of(file) if name.startswith("test_")}


@pytest.mark.parametrize(
    ("case", "test"), [(case, test) for case, tests in _CASES.items() for test in tests]
)
def test_a_case_has_tests_that_name_its_siblings(case: str, test: str) -> None:
    """The docstring names the class of fault, and the siblings that were found as tests."""
    file, _, name = test.partition("::")
    docstrings = _docstrings_of(_ROOT / "tests" / file)
    assert name in docstrings, case
    found = _FORM.search(docstrings[name])
    assert found, f"{case}: {test} has no sentence 'Class of fault: ...; siblings: ...'"
    named = set(re.findall(r"\btest_\w+", found[2]))
    is_here = "parameter of this test" in found[2]
    assert named or is_here or found[2] == "none found", f"{case}: a sibling is a test"
    assert name not in named
    assert named <= _all_tests(), named - _all_tests()


def others() -> list[str]:
    """Return the tests that .ci/run adds to those folders, because each Python has to pass them."""
    tests = {test for tests in _CASES.values() for test in tests}
    return sorted(f"tests/{test}" for test in tests if not test.startswith(_ON_EACH_PYTHON))


def test_every_case_runs_on_each_python() -> None:
    """CI names the folders, and asks this file for the other tests."""
    script = (_ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "$(.venv/bin/python tests/contract/test_cases.py)" in script
    assert "$depends $cases -m" in script
    for folder in _ON_EACH_PYTHON:
        assert f"tests/{folder.rstrip('/')}" in script
    assert len(others()) > 15


if __name__ == "__main__":
    sys.stdout.write(" ".join(others()) + "\n")
