"""A server that knows its own delays, for benchmarks that ask before they measure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, processes


@pytest.fixture
def known_server(tmp_path: Path) -> Iterator[str]:
    """The base URL of a `tests.support.known_server`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.known_server", "--record",
         str(tmp_path / "record.jsonl"), "--mode", "reasoning"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = process.stdout.readline().split()[-1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        processes.kill([process.pid])
        process.wait()
        process.stdout.close()
