"""Which processes in the engine's cgroup are its orphans, and which were moved there."""

from dataclasses import replace

import pytest

from launcher.host.processes import Process
from launcher.keeper import cleanup
from launcher.keeper.claim import EngineClaim
from launcher.keeper.state import State

STATE = State("one", "one:token", engine=EngineClaim(100, 5000))
BORN_LATER = Process(pid=200, parent=1, start=6000, state="S", session=200, name="worker")


def with_parent(monkeypatch: pytest.MonkeyPatch, name: str | None) -> bool:
    """Whether a process is an orphan whose parent has this name, or is gone."""
    parent = None if name is None else replace(BORN_LATER, pid=77, name=name)
    monkeypatch.setattr("launcher.keeper.identity.look", lambda pid: parent)
    return cleanup.is_orphan(STATE, replace(BORN_LATER, parent=77))


def test_init_and_the_users_systemd_adopt_orphans(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cleanup.is_orphan(STATE, BORN_LATER)
    assert cleanup.is_orphan(STATE, replace(BORN_LATER, parent=0))
    assert with_parent(monkeypatch, "systemd")


def test_what_still_has_the_parent_that_started_it_was_moved_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not with_parent(monkeypatch, "bash")
    assert not with_parent(monkeypatch, None)


@pytest.mark.parametrize("start", [0, 4999])
def test_what_is_older_than_the_engine_is_not_its_own(start: int) -> None:
    assert not cleanup.is_orphan(STATE, replace(BORN_LATER, start=start))
    assert cleanup.is_orphan(STATE, replace(BORN_LATER, start=5000))


def test_without_a_recorded_engine_nothing_is_its_orphan() -> None:
    assert not cleanup.is_orphan(replace(STATE, engine=None), BORN_LATER)
    assert not cleanup.is_orphan(replace(STATE, engine=EngineClaim(100, 0)), BORN_LATER)
