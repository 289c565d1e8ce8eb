"""Python 3.14's threads that inherit the context of who starts them, and what the doctor says."""

from __future__ import annotations

import sys

import pytest
from helpers import check_python


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads inherit no context")
@pytest.mark.parametrize("is_set", [True, False])
def test_a_pool_has_the_request_of_each_call_once_threads_are_carried(*, is_set: bool) -> None:
    """The doctor notes threads that inherit, until `carry_threads` is called, which is the cure."""
    check_python(
        f"""
        from concurrent.futures import ThreadPoolExecutor
        import forklog
        from forklog.context.base import CURRENT, LogContext
        from forklog.context.scope import begin, end
        from forklog.middleware import WSGIMiddleware

        WSGIMiddleware(lambda environ, start: [])

        def is_noted():
            findings = forklog.doctor(1).findings
            return "inherited-context" in [finding.code for finding in findings]

        def traces(pool):
            for trace in ("a", "b"):
                scope = begin(LogContext(trace * 32), is_request=True)
                known = pool.submit(lambda: CURRENT.get() and CURRENT.get().context.trace[0])
                yield known.result(10)
                end(scope)

        with ThreadPoolExecutor(1) as pool:
            found = list(traces(pool))
        assert found == (["a", "a"] if {is_set} else [None, None]), found
        assert is_noted() == {is_set}
        forklog.carry_threads()
        with ThreadPoolExecutor(1) as pool:
            assert list(traces(pool)) == ["a", "b"]
            assert pool.submit(CURRENT.get).result(10) is None
        assert not is_noted()
        """,
        60,
        {"PYTHON_THREAD_INHERIT_CONTEXT": str(int(is_set))},
    )
