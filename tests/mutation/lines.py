"""A pytest plugin that notes which tests run which lines of some files, in pytest's own process."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

OUT, SOURCES = json.loads(os.environ.get("MUTATION_LINES", '["", []]'))
FILES = {os.path.join(os.getcwd(), one): one for one in SOURCES}
LINES: dict[str, set[str]] = defaultdict(set)


class Tracer:
    """Notes each line of the watched files for the test that runs."""

    def __init__(self) -> None:
        self.test = ""

    def __call__(self, frame: FrameType, event: str, argument: object) -> Tracer | None:
        """Python's hook: once per call, then per line of a watched file."""
        name = FILES.get(frame.f_code.co_filename)
        if name is None:
            return None
        LINES[f"{name}:{frame.f_lineno}"].add(self.test)
        return self


TRACER = Tracer()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Trace set-up, call and tear-down of each test."""
    TRACER.test = item.nodeid
    sys.settrace(TRACER)
    yield
    sys.settrace(None)


def pytest_sessionfinish() -> None:
    """Write what was noted."""
    Path(OUT).write_text(json.dumps({line: sorted(tests) for line, tests in LINES.items()}))
