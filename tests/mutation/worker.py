"""Runs tests against one mutant after another, with everything imported once.

It collects the tests, and forks for every request: the child puts the changed code into the
functions that exist already and runs the tests it is told. A request is a line of JSON on stdin,
the answer (pytest's exit code, or null for a run that hung) a line on stdout.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
from types import CodeType, FunctionType

import pytest

QUIET = ["-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider",
         "-W", "ignore::pytest.PytestAssertRewriteWarning"]  # fmt: skip

NOT_RUN = (255, pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)
"""Exit codes that tell nothing of the fault: it was not planted, or no test was run."""


def code_objects(code: CodeType) -> list[CodeType]:
    """All code of a file in the order of its text: functions, lambdas, comprehensions."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return [code, *(below for one in inner for below in code_objects(one))]


def plant(path: str, before: str, after: str) -> bool:
    """Give the functions of a file the code of its changed text; False where that cannot be.

    A module that is imported later is read from the changed file then.
    """
    if all(getattr(module, "__file__", None) != path for module in list(sys.modules.values())):
        return True
    old = code_objects(compile(before, path, "exec", dont_inherit=True))
    new = code_objects(compile(after, path, "exec", dont_inherit=True))
    if len(old) != len(new):
        return False
    index: dict[tuple[str, int], int] = {}
    for number, one in enumerate(old):
        key = (one.co_name, one.co_firstlineno)
        index[key] = -1 if key in index else number  # two lambdas of one line
    planted = False
    for function in [one for one in gc.get_objects() if isinstance(one, FunctionType)]:
        code = function.__code__
        if code.co_filename == path:
            position = index.get((code.co_name, code.co_firstlineno), -1)
            if position < 0 or new[position].co_freevars != code.co_freevars:
                return False
            function.__code__ = new[position]
            planted = True
    return planted


def run(request: dict[str, str | list[str] | float]) -> int | None:
    """Pytest's exit code in a child with the mutant; -1 where it could not be planted."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        path = os.path.join(os.getcwd(), str(request["file"]))
        if not plant(path, str(request["before"]), str(request["after"])):
            os._exit(255)
        tests = request["tests"]
        assert isinstance(tests, list)
        os._exit(int(pytest.main([*QUIET, *tests])))
    descriptor = os.pidfd_open(pid)
    deadline = request["deadline"]
    assert isinstance(deadline, float)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = poll.poll(deadline * 1000)
    os.close(descriptor)
    if not ended:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return -1 if code in NOT_RUN else code


def main() -> None:
    """Import once, then answer."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    collected = pytest.main([*QUIET, "--collect-only", *sys.argv[1:]])
    answers.write(json.dumps(int(collected)) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
