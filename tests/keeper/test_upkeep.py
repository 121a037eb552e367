"""The engine's own logs are kept within their bound: the oldest go first."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.keeper.upkeep import FRESH, bound_engine_logs
from launcher.plan.model import LaunchPlan

NOW = 1_800_000_000.0


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LaunchPlan:
    """A plan whose logs may have 100 bytes, at the moment `NOW`."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    folder = str(tmp_path)
    return LaunchPlan(
        "one", "scripted", "1.0", ("/bin/x",), "/", folder, "/", engine_log_max_size=100
    )


def write(plan: LaunchPlan, name: str, size: int, age: float) -> Path:
    """A log of `size` bytes that was written last `age` seconds ago."""
    path = Path(plan.log_folder, name)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_the_oldest_are_removed_until_the_rest_has_room(plan: LaunchPlan) -> None:
    days = [write(plan, f"day-{day}.log", 60, day * 86_400) for day in range(1, 4)]
    done = bound_engine_logs(plan)
    assert [path.exists() for path in days] == [True, False, False]
    bound = "(60 bytes): the engine's logs exceed their bound"
    assert done == [f"removed day-3.log {bound}", f"removed day-2.log {bound}"]


def test_within_the_bound_nothing_is_done(plan: LaunchPlan) -> None:
    log = write(plan, "old.log", 100, 86_400)
    assert bound_engine_logs(plan) == []
    assert log.stat().st_size == 100


@pytest.mark.parametrize("age", [FRESH - 1, FRESH])
def test_a_log_that_is_written_to_is_emptied_and_not_removed(plan: LaunchPlan, age: float) -> None:
    """It would go on to grow without a name; after an hour of silence it was rotated away."""
    small = write(plan, "small.log", 90, 1.0)
    large = write(plan, "large.log", 95, age)
    (done,) = bound_engine_logs(plan)
    assert done.startswith("removed large.log" if age == FRESH else "emptied large.log")
    assert large.exists() is (age < FRESH)
    assert small.stat().st_size == 90


def test_a_link_out_of_the_folder_is_not_followed(plan: LaunchPlan, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.write_bytes(b"x" * 500)
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "engine.log").symlink_to(outside)
    assert bound_engine_logs(replace(plan, log_folder=str(folder))) == []
    assert outside.stat().st_size == 500
