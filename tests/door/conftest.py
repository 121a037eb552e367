"""Replicas and a HAProxy of their own for each test; skipped where no HAProxy is installed."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from launcher.door.config import DoorSettings, Server
from tests.support.haproxies import HAProxy
from tests.support.packages import needs_package
from tests.support.replicas import Replica

RunDoor = Callable[..., HAProxy]
MakeReplica = Callable[[str], Replica]


@pytest.fixture(autouse=True)
def _haproxy_is_installed() -> None:
    needs_package("haproxy")


@pytest.fixture
def replica() -> Iterator[MakeReplica]:
    """Makes replicas and stops them at the end."""
    replicas: list[Replica] = []

    def make(name: str) -> Replica:
        replicas.append(Replica(name))
        return replicas[-1]

    yield make
    for one in replicas:
        one.stop()


@pytest.fixture
def haproxy() -> Iterator[RunDoor]:
    """Starts a HAProxy with these servers, and the settings as keywords."""
    with contextlib.ExitStack() as stack:

        def run(*servers: Server, **settings: object) -> HAProxy:
            values = DoorSettings("chat", **settings)  # type: ignore[arg-type]
            return stack.enter_context(HAProxy(values, servers))

        yield run
