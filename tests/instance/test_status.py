"""`status` of many instances: a slow or broken one holds up none of the others."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.instance import status as module
from launcher.instance.instance_status import InstanceStatus
from launcher.instance.status import status
from launcher.instance.store import InstanceDir
from launcher.lifecycle import InstanceState

Read = tuple[InstanceStatus, Callable[[], InstanceStatus] | None]


def row(instance: InstanceDir) -> InstanceStatus:
    return InstanceStatus(instance.name, InstanceState.STOPPED)


@pytest.fixture
def instances(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[InstanceDir]:
    """Eight of them, with little time for all."""
    monkeypatch.setattr(module, "HEALTH_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "KEEPER_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    return [InstanceDir(home / "instances" / f"i{number}") for number in range(8)]


def states(instances: list[InstanceDir]) -> list[str]:
    data = status(instances, one=False).data
    assert data is not None
    return [str(one.state) for one in data.instances]


def test_an_instance_that_cannot_be_read_in_time_is_unknown_and_the_others_are_not(
    instances: list[InstanceDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    def read(instance: InstanceDir, *arguments: object) -> Read:
        if instance.name in ("i1", "i6"):
            let_go.wait(60)
        return row(instance), None

    monkeypatch.setattr(module, "_read", read)
    try:
        expected = ["unknown" if number in (1, 6) else "stopped" for number in range(8)]
        assert states(instances) == expected
    finally:
        let_go.set()


def test_a_broken_instance_is_told_and_hides_none(
    instances: list[InstanceDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(instance: InstanceDir, *arguments: object) -> Read:
        if instance.name == "i3":
            raise RecursionError("too deep")
        return row(instance), None

    monkeypatch.setattr(module, "_read", read)
    data = status(instances, one=False).data
    assert data is not None
    assert [str(one.state) for one in data.instances].count("stopped") == 7
    assert data.instances[3].note == "RecursionError('too deep')"


def test_servers_are_asked_at_the_same_time(
    instances: list[InstanceDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(len(instances))

    def read(instance: InstanceDir, *arguments: object) -> Read:
        def ask() -> InstanceStatus:
            together.wait(60)
            return row(instance)

        return row(instance), ask

    monkeypatch.setattr(module, "_read", read)
    monkeypatch.setattr(module, "HEALTH_TIMEOUT", 60.0)
    assert states(instances) == ["stopped"] * 8


def test_a_thread_that_starts_late_is_waited_for(
    instances: list[InstanceDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the first one may begin another before its own start has returned."""
    begun: list[threading.Thread] = []

    class Slow(threading.Thread):
        def start(self) -> None:
            begun.append(self)
            if len(begun) > 1:
                time.sleep(0.4)  # the second one is not there yet
                super().start()
            else:
                super().start()
                time.sleep(0.2)  # and the first one returns in the middle of that

    monkeypatch.setattr(threading, "Thread", Slow)
    monkeypatch.setattr(
        module, "_read", lambda instance, *arguments: (row(instance), lambda: row(instance))
    )
    monkeypatch.setattr(module, "HEALTH_TIMEOUT", 60.0)
    assert states(instances[:1]) == ["stopped"]
    assert len(begun) == 2
