"""A pytest plugin that notes which tests call which functions, and how long each test takes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

OUT, SOURCES = json.loads(os.environ.get("MUTATION_LINES", '["", []]'))
FILES = {os.path.join(os.getcwd(), one): one for one in SOURCES}
CALLS: dict[str, set[str]] = defaultdict(set)
"""Per `file:line` of a function's beginning, the tests that call it in pytest's own process."""


SECONDS: dict[str, float] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Trace set-up, call and tear-down of each test."""

    def trace(frame: FrameType, event: str, argument: object) -> None:
        name = FILES.get(frame.f_code.co_filename)
        if name is not None:
            CALLS[f"{name}:{frame.f_code.co_firstlineno}"].add(item.nodeid)

    started = time.monotonic()
    sys.settrace(trace)
    yield
    sys.settrace(None)
    SECONDS[item.nodeid] = time.monotonic() - started


def pytest_sessionfinish() -> None:
    """Write what was noted, the quickest tests first, and how long each of them took."""
    ordered = {line: sorted(tests, key=SECONDS.__getitem__) for line, tests in CALLS.items()}
    Path(OUT).write_text(json.dumps({"tests": ordered, "seconds": SECONDS}))
