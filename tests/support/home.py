"""A fresh state directory per test, and the proof that nothing outlived it."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes

SETTLE = 10.0
"""Seconds a process that is already ending may take to be gone."""


@contextlib.contextmanager
def temporary_home() -> Iterator[Path]:
    """A new state directory with a short path; fails where a process still belongs to it.

    What leaked is killed by number, so that one leak fails one test.
    """
    home = Path(tempfile.mkdtemp(prefix="edt-", dir="/tmp"))
    try:
        yield home
    finally:
        leaks = _settled(home)
        if leaks:
            processes.kill([leak.pid for leak in leaks])
        shutil.rmtree(home, ignore_errors=True)
    if leaks:
        report = "\n".join(f"  {x.pid} ({x.reason}): {x.command[:200]}" for x in leaks)
        pytest.fail(f"processes outlived the test:\n{report}", pytrace=False)


def _settled(home: Path) -> list[processes.Leak]:
    end = time.monotonic() + SETTLE
    while True:
        leaks = processes.of_home(home)
        if not leaks or time.monotonic() > end:
            return leaks
        time.sleep(0.1)
