"""A failure is the memory killer's where the kernel proves it, and only there."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.errors import ExitCode, Problem
from launcher.host import memory_killer as kernel
from launcher.host.memory_killer import Killed
from launcher.keeper.events import read_events
from launcher.keeper.failure import Failure
from launcher.keeper.memory_killer import RECENT, MemoryKiller
from launcher.lifecycle import InstanceState
from tests.support.as_json import as_json
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for

KILLED, EXITED = int(signal.SIGKILL), 1 << 8
DIED = Failure.from_exit(-9, InstanceState.READY)


class Cgroup:
    """A cgroup's counter, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 1000.0
        self.set(0)

    def set(self, count: int) -> None:
        (self.folder / "memory.events").write_text(f"oom 0\noom_kill {count}\n")

    def watch(self) -> MemoryKiller:
        return MemoryKiller(self.folder, lambda: self.now)


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroup:
    monkeypatch.setattr(kernel, "killed_of", lambda pids: None)
    return Cgroup(tmp_path)


@pytest.mark.parametrize(
    ("status", "proved"),
    [(KILLED, True), (None, True), (137 << 8, True), (EXITED, False), (0, False), (15, False)],
)
def test_a_death_by_sigkill_beside_a_risen_counter(
    cgroup: Cgroup, status: int | None, proved: bool
) -> None:
    watch = cgroup.watch()
    watch.died(41, status)
    cgroup.set(1)
    failure = watch.explain(DIED, ())
    assert (failure.problem.code == "memory-killed") == proved
    if proved:
        assert failure.exit_code is ExitCode.DIED
        assert failure.certain
        assert failure.retry
        assert "process 41" in failure.problem.message
        assert failure.problem.where == f"{cgroup.folder / 'memory.events'}: oom_kill 1"
        assert failure.problem.remedy


def test_a_kill_without_a_risen_counter_is_a_persons(cgroup: Cgroup) -> None:
    watch = cgroup.watch()
    watch.died(41, KILLED)
    assert watch.explain(DIED, ()) is DIED


def test_a_rise_that_is_long_past_is_no_cause(cgroup: Cgroup) -> None:
    watch = cgroup.watch()
    cgroup.set(1)
    watch.look()
    watch.died(41, KILLED)
    cgroup.now += RECENT + 1
    assert watch.explain(DIED, ()) is DIED
    cgroup.set(2)
    assert watch.explain(DIED, ()).problem.code == "memory-killed"


def test_a_certain_cause_stays_unless_the_kernel_names_one_of_ours(
    cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain = Failure(Problem("ED-X", "it burns"), ExitCode.DIED)
    watch = cgroup.watch()
    watch.died(41, KILLED)
    cgroup.set(1)
    assert watch.explain(certain, ()) is certain
    looks: list[set[int]] = []

    def named(pids: set[int]) -> Killed:
        looks.append(pids)
        return Killed(41, "python3", "Out of memory: Killed process 41 (python3)")

    monkeypatch.setattr(kernel, "killed_of", named)
    failure = watch.explain(certain, [50, 51])
    assert failure.problem.code == "memory-killed"
    assert "process 41 (python3)" in failure.problem.message
    assert failure.problem.where == "Out of memory: Killed process 41 (python3)"
    assert looks == [{41, 50, 51}], "also those whose death we have not seen yet"


def test_without_any_cgroup_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "killed_of", lambda pids: None)
    watch = MemoryKiller(tmp_path / "none")
    watch.died(41, KILLED)
    watch.look()
    assert watch.explain(DIED, ()) is DIED


# -- the real one --------------------------------------------------------------------------------

LIMIT = 400 * 1024 * 1024


def own_group() -> tuple[Path, str, str]:
    """A new memory cgroup below ours, the file of its limit, and what takes swap along."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            base = Path("/sys/fs/cgroup/memory", path.lstrip("/"))
            return base, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
        if not controllers and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            base = Path("/sys/fs/cgroup", path.lstrip("/"))
            if "memory" in (base / "cgroup.subtree_control").read_text().split():
                return base, "memory.max", "memory.swap.max"
    pytest.skip("no memory cgroup can be made below ours")


@pytest.fixture
def small() -> Iterator[Path]:
    """A real memory cgroup with a limit; skipped where none can be made."""
    base, limit, swap = own_group()
    folder = base / f"ernie-deploy-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(LIMIT))
        if (folder / swap).exists():
            (folder / swap).write_text("0" if swap.endswith("swap.max") else str(LIMIT))
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made below {base}: {error.strerror}")
    yield folder
    wait_for(lambda: not (folder / "cgroup.procs").read_text(), "its processes to go")
    folder.rmdir()


NEW_MOUNTS, BIND, PRIVATE = 0x20000, 0x1000, 0x44000
"""CLONE_NEWNS, MS_BIND, MS_REC | MS_PRIVATE."""


def enter(folder: Path, *, readable: bool) -> Callable[[], None]:
    """In a new child: into the cgroup; unless `readable`, without the kernel's log."""

    def begin() -> None:
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        libc = ctypes.CDLL(None)
        if not readable:
            failed = libc.unshare(NEW_MOUNTS)
            failed |= libc.mount(b"none", b"/", None, PRIVATE, None)
            failed |= libc.mount(b"/dev/null", b"/dev/kmsg", None, BIND, None)
            os._exit(99) if failed else None

    return begin


@pytest.mark.parametrize("readable", [True, False], ids=["kernel-log", "counter"])
def test_the_kernel_kills_an_engine_that_takes_too_much(
    rig: Rig, small: Path, readable: bool
) -> None:
    """A real kill; without the kernel's log (as in containers) the counter tells the same."""
    go = rig.path("go")
    script = {"after": [{"wait": go}, {"allocate": 1024}]}
    profile = rig.profile(script=script, restart=NEVER)
    up = rig.spawn("up", profile, "--json", preexec_fn=enter(small, readable=readable))
    assert up.wait(600) == 0
    Path(go).touch()
    state = rig.wait_for_state("died")
    error = state["error"]
    assert error["code"] == "memory-killed", error
    assert f"process {state['engine']['pid']}" in error["message"]
    where = "Killed process" if readable else "oom_kill 1"
    assert where in error["where"], error
    status_text = rig.run("status", "one").stdout
    assert "memory-killed: the kernel's memory killer ended" in status_text
    diagnosed = rig.run("diagnose", "one", "--json")
    assert diagnosed.rc == 1
    assert "memory killer" in diagnosed.json["data"]["cause"]
    assert diagnosed.json["data"]["remedy"] == error["remedy"]
    failures = [e for e in as_json(read_events(rig.instance())) if e["event"] == "failure"]
    assert [e["code"] for e in failures] == ["memory-killed"]
    rig.nothing_left()


def test_a_process_that_a_person_kills_is_not_the_memory_killers(rig: Rig) -> None:
    rig.up(restart=NEVER)
    rig.kill(rig.engine())
    assert rig.wait_for_state("died")["error"]["code"] != "memory-killed"
    rig.nothing_left()
