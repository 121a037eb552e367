"""Fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keeping import Keeping
from tests.support.rig import rig

__all__ = ["keeping", "rig"]


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    instance = Keeping(tmp_path / "one")
    yield instance
    instance.close()
