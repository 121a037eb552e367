"""A server that knows its own delays, for benchmarks that ask before they measure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.known_server import serving


@pytest.fixture
def known_server(tmp_path: Path) -> Iterator[str]:
    """The base URL of a `tests.support.known_server`."""
    with serving(tmp_path / "record.jsonl", "--mode", "reasoning") as url:
        yield url
