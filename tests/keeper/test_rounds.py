"""The regular look at an engine, with a child of the test in the place of an engine's process."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from launcher.keeper import rounds as rounds_module
from launcher.keeper.events import read_events
from launcher.keeper.failure import Failure
from launcher.keeper.loop import Loop
from launcher.keeper.notify import Notifier
from launcher.keeper.record import Record
from launcher.keeper.rounds import Rounds
from launcher.keeper.tree import Tree
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan


class Bench:
    """Rounds of 10 ms around an engine that loads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = Loop()
        self.looks: list[Mapping[int, str]] = []
        self.lost = 0
        plan = LaunchPlan("one", "scripted", "1.0", ("/bin/x",), "/", "/nowhere", "/nowhere")
        self.tree = Tree(self.loop, lambda process: None)
        record = Record(folder, plan, "one:abc", self.tree, ())
        record.set(InstanceState.LOADING)
        failures: list[Failure] = []
        self.rounds = Rounds(
            self.loop, plan, self.tree, record, Notifier({}), fail=failures.append,
            on_command_lines=self.looks.append, lost_bytes=lambda: self.lost,
        )  # fmt: skip

    def wait_for(self, condition: Callable[[], bool]) -> None:
        assert self.loop.run_until(condition, 60)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(rounds_module, "LOADING_TICK", 0.01)
    new = Bench(tmp_path)
    yield new
    new.rounds.close()


def test_a_process_that_came_between_two_rounds_is_in_the_next(bench: Bench) -> None:
    bench.rounds.begin()
    bench.wait_for(lambda: len(bench.looks) >= 1)
    process = subprocess.Popen(["sleep", "601"])
    try:
        bench.wait_for(lambda: bench.looks[-1].get(process.pid, "").startswith("sleep 601"))
        assert process.pid in bench.tree.pids
    finally:
        process.kill()
        bench.wait_for(lambda: process.pid not in bench.tree.pids)
        process.wait()


def test_output_that_is_lost_is_told_once(bench: Bench) -> None:
    bench.rounds.begin()
    bench.wait_for(lambda: len(bench.looks) >= 2)
    assert not any(event["event"] == "warning" for event in read_events(bench.folder))
    bench.lost = 5
    count = len(bench.looks)
    bench.wait_for(lambda: len(bench.looks) >= count + 3)
    warnings = [one["message"] for one in read_events(bench.folder) if one["event"] == "warning"]
    assert warnings == ["the engine's output is being lost: disk full?"]


def test_after_the_end_there_is_no_further_round(bench: Bench) -> None:
    bench.rounds.begin()
    bench.wait_for(lambda: len(bench.looks) >= 1)
    bench.rounds.close()
    count = len(bench.looks)
    assert not bench.loop.run_until(lambda: len(bench.looks) > count, 0.1)
