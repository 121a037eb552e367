"""The record: what the keeper knows outlives every failure to write it down."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from launcher.keeper.events import read_events
from launcher.keeper.loop import Loop
from launcher.keeper.record import Record
from launcher.keeper.state import read_state
from launcher.keeper.tree import Tree
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan, Leftovers
from tests.support.as_json import as_json

CALLS = ("open", "write", "fsync", "replace", "unlink")


class Plan:
    """As much of a launch plan as a record needs."""

    instance = "one"
    leftovers = Leftovers()
    cwd = "/"
    numbers: Mapping[str, int] = {}
    admin = None
    base_url = ""
    temporary_folder = "/tmp/ed-nothere"


def record(folder: Path) -> Record:
    plan: Any = Plan()
    assert not isinstance(plan, LaunchPlan)
    return Record(folder, plan, "one:abc", Tree(Loop(), lambda process: None), ())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EIO, errno.EACCES])
def test_no_failing_file_operation_ends_it_and_all_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    one = record(tmp_path)

    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    one.set(InstanceState.LOADING)
    one.event("phase", phase="weights", title="load weights", new=True)
    one.set(InstanceState.READY)
    assert one.state.state is InstanceState.READY
    monkeypatch.undo()
    one.restore_state()
    one.event("stop", reason="down")

    stored = read_state(tmp_path)
    assert stored is not None
    assert stored.state is InstanceState.READY
    assert read_events(tmp_path)[-1]["event"] == "stop"


def test_a_failure_is_told_once_and_not_at_every_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = record(tmp_path)

    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    for _ in range(50):
        one.write()
    monkeypatch.undo()
    warnings = [e for e in read_events(tmp_path) if e["event"] == "warning"]
    assert [e["message"] for e in warnings] == [
        "state.json cannot be written: Read-only file system"
    ]


def test_what_somebody_wrote_over_it_is_written_again(tmp_path: Path) -> None:
    one = record(tmp_path)
    one.set(InstanceState.READY)
    assert not one.restore_state()
    path = tmp_path / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "stopped"}))
    assert one.restore_state()
    assert json.loads(path.read_text())["state"] == InstanceState.READY


def test_a_forbidden_step_is_told_as_a_defect_and_taken(tmp_path: Path) -> None:
    one = record(tmp_path)
    one.set(InstanceState.READY)  # no engine was loaded
    stored = read_state(tmp_path)
    assert stored is not None
    assert stored.state is InstanceState.READY
    events = as_json(read_events(tmp_path))
    assert [e["event"] for e in events] == ["warning", "state"]
    assert "a defect of ernie-deploy: starting may not be followed by ready" in events[0]["message"]


def test_a_start_its_end_and_a_restart_are_no_defect(tmp_path: Path) -> None:
    one = record(tmp_path)
    start = [InstanceState.STARTING, InstanceState.LOADING, InstanceState.READY]
    for state in (
        *start,
        InstanceState.STOPPING,
        *start,
        InstanceState.STOPPING,
        InstanceState.DIED,
    ):
        one.set(state)
    assert {e["event"] for e in read_events(tmp_path)} == {"state"}
