"""Fixtures of the twin's own tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.twin.driver import Ports, Twin, lease_ports
from tests.twin.interpreter import make_interpreter


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """One environment per release, made when it is first asked for."""
    interpreters: dict[str, Path] = {}

    def get(release: str = "2.4") -> Path:
        if release not in interpreters:
            interpreters[release] = make_interpreter(
                tmp_path_factory.mktemp("env") / release, release
            )
        return interpreters[release]

    return get


Start = Callable[..., Twin]


def _starter(
    interpreter: Callable[[str], Path], folder: Path, stack: ExitStack
) -> Callable[..., Twin]:
    numbers = itertools.count()

    def start(
        *flags: str, release: str = "2.4", ports: Ports | None = None, **options: Any
    ) -> Twin:
        leased = ports or stack.enter_context(lease_ports())
        run_folder = folder / f"run{next(numbers)}"
        twin = Twin(interpreter(release), run_folder, leased, *flags, **options)
        stack.callback(twin.close)
        return twin

    return start


@pytest.fixture
def start(interpreter: Callable[[str], Path], tmp_path: Path) -> Iterator[Start]:
    """Start twins that end with the test."""
    with ExitStack() as stack:
        yield _starter(interpreter, tmp_path, stack)


@pytest.fixture(scope="module")
def shared_start(
    interpreter: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Start twins that end with the module."""
    with ExitStack() as stack:
        yield _starter(interpreter, tmp_path_factory.mktemp("shared"), stack)


@pytest.fixture(scope="module")
def served(shared_start: Start) -> Twin:
    """One ready server with the ernie-x1 parsers, for tests that only ask questions."""
    twin = shared_start("--reasoning-parser", "ernie-x1", "--tool-call-parser", "ernie-x1")
    return twin.wait_ready()
