"""Start and stop, again and again: nothing may pile up."""

import os
import time
from pathlib import Path

import pytest

from tests.faults.test_real_engine import NAME, argv_of
from tests.support import processes
from tests.support.matrix import some
from tests.support.rig import Rig


def temporary_folders() -> set[str]:
    """What instances leave in /tmp if they leave something."""
    return {name for name in os.listdir("/tmp") if name.startswith("ed-")}


def cycle(rig: Rig, number: int) -> int:
    """One start and stop with the real engine; how many things were left."""
    started = rig.run(*argv_of("up"))
    assert started.rc == 0, (number, started.output())
    plan = rig.stored(NAME, "plan.json")
    stopped = rig.run("down", NAME, "--json")
    assert stopped.rc == 0, (number, stopped.output())
    receipt = stopped.json["data"]["receipt"]
    left: int = sum(receipt[kind] for kind in ("processes", "ports", "shm", "queues", "temporary"))
    left += Path(plan["temporary_folder"]).exists()
    return left + len(processes.of_home(rig.home))


@pytest.mark.engine("transformers")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cycles", some([3, 10], [3]))
def test_cycles_of_the_real_engine(rig: Rig, cycles: int) -> None:
    assert sum(cycle(rig, number) for number in range(cycles)) == 0


def test_ten_quick_cycles_on_the_same_port(rig: Rig, free_port: int) -> None:
    for _ in range(10):
        rig.up(ports={"api": free_port})
        rig.down()


@pytest.mark.soak
def test_two_hundred_quick_cycles(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """With an engine that starts in 0.1 s every moment of start and stop comes up."""
    began = time.monotonic()
    before, shm = temporary_folders(), set(os.listdir("/dev/shm"))
    for _ in range(200):
        rig.up()
        rig.down()
    left = len(processes.of_home(rig.home)) + len(set(os.listdir("/dev/shm")) - shm)
    plan = rig.stored(file="plan.json")
    left += Path(plan["temporary_folder"]).name in temporary_folders() - before
    seconds = time.monotonic() - began
    with capsys.disabled():
        print(f"\nsoak: 200 quick start/stop cycles in {seconds:.0f} s, {left} leftovers")
    assert left == 0


@pytest.mark.soak
@pytest.mark.engine("transformers")
def test_two_hundred_cycles(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    began, left = time.monotonic(), 0
    shm = set(os.listdir("/dev/shm"))
    for number in range(200):
        left += cycle(rig, number)
    left += len(set(os.listdir("/dev/shm")) - shm)
    minutes = (time.monotonic() - began) / 60
    with capsys.disabled():
        print(f"\nsoak: 200 start/stop cycles in {minutes:.1f} min, {left} leftovers")
    assert left == 0
