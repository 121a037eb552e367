"""What a restart waits for: the old processes, the ports and their leases, the GPUs' memory."""

import functools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.host.gpus import MIB, GpuMemory, memory_of
from launcher.keeper import cleanup, gpu_release, restart_wait
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.gpu_release import GpuRelease, settled
from launcher.keeper.identity import look, this_host
from launcher.keeper.loop import Loop
from launcher.keeper.restart_wait import RestartWait
from launcher.keeper.state import State
from launcher.plan.model import LaunchPlan, PortUse
from launcher.preparation import lease_folder
from launcher.preparation import leases as port_leases
from tests.support.waiting import wait_for

Events = list[tuple[str, str]]


def plan_of(*ports: int, gpus: tuple[str, ...] | None = None) -> LaunchPlan:
    return LaunchPlan(
        instance="one", engine="scripted", release="1", argv=("/bin/true",), cwd="/",
        log_folder="/nowhere", temporary_folder="/nowhere", gpus=gpus,
        ports=tuple(PortUse("api", number, "127.0.0.1") for number in ports),
    )  # fmt: skip


class Waiting:
    """A wait in this process; `told` are events, `waits` what was waited for."""

    def __init__(
        self, plan: LaunchPlan, state: State | None = None, leases: list[int] | None = None
    ) -> None:
        self.told: Events = []
        self.waits: list[str] = []
        self.loop = Loop()
        self.wait = RestartWait(
            self.loop, plan, state or State("one", "one:token"), leases or [],
            lambda kind, message: self.told.append((kind, message)),
            processes_left=state is not None,
        )  # fmt: skip

    def run(self, delay: float = 0.0) -> str | None:
        """The code of what stays in the way, if anything does."""
        failure = self.wait.wait(delay, lambda: False, self.waits.append)
        if failure is not None:
            assert failure.retry is False
            assert failure.problem.remedy
        return failure.problem.code if failure else None


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one


def test_nothing_in_the_way_takes_the_delay_and_no_longer(free_port: int) -> None:
    waiting = Waiting(plan_of(free_port))
    began = time.monotonic()
    assert waiting.run(0.05) is None
    assert time.monotonic() - began >= 0.05
    assert (waiting.told, waiting.waits) == ([], [])


def test_a_stop_ends_the_wait(free_port: int) -> None:
    waiting = Waiting(plan_of(free_port))
    began = time.monotonic()
    assert waiting.wait.wait(600, lambda: True, waiting.waits.append) is None
    assert time.monotonic() - began < 60


def test_a_port_that_becomes_free_is_waited_for(listener: socket.socket) -> None:
    number = listener.getsockname()[1]
    waiting = Waiting(plan_of(number))
    waiting.loop.call_later(0.3, listener.close)
    assert waiting.run() is None
    assert waiting.waits == [f"port {number} (api)"]


def test_a_port_that_stays_another_programs_is_named(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restart_wait, "PATIENCE", 0.3)
    waiting = Waiting(plan_of(listener.getsockname()[1]))
    failure = waiting.wait.wait(0, lambda: False, waiting.waits.append)
    assert failure is not None
    assert failure.problem.code == "port-taken-before-restart"
    assert f"pid {os.getpid()} (" in failure.problem.message


def test_a_port_that_is_only_a_name_is_not_looked_at(listener: socket.socket) -> None:
    use = PortUse("queue", listener.getsockname()[1], "127.0.0.1", bound=False)
    plan = LaunchPlan(
        instance="one", engine="scripted", release="1", argv=("/bin/true",), cwd="/",
        log_folder="/nowhere", temporary_folder="/nowhere", ports=(use,),
    )  # fmt: skip
    assert Waiting(plan).run() is None


def test_a_process_of_the_run_before_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs in the kernel: SIGKILL was sent already, here it was not."""
    monkeypatch.setattr(restart_wait, "PATIENCE", 0.3)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        here, it = this_host(), look(process.pid)
        assert it is not None
        state = State("one", "one:none", machine=here.machine, boot=here.boot,
                      pid_namespace=here.pid_namespace)  # fmt: skip
        state.processes = [ProcessClaim(it.pid, it.start)]
        assert [p.pid for p in cleanup.strays(state)] == [process.pid]
        waiting = Waiting(plan_of(), state)
        assert waiting.run() == "restart-blocked"
        assert waiting.waits[0].startswith(f"the end of process {process.pid} (")
        waiting = Waiting(plan_of(), state)
        threading.Thread(target=functools.partial(process.communicate, b"\n")).start()
        monkeypatch.setattr(restart_wait, "PATIENCE", 600.0)
        assert waiting.run() is None
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def lease_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leases of this test only."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(lease_folder, "_state", lambda environ: iter(()))
    monkeypatch.setattr(lease_folder, "RUNTIME", tmp_path / "none")
    return tmp_path


def test_a_lease_whose_file_was_removed_is_taken_again(lease_home: Path) -> None:
    """A cleaner of temporary files: the lock is held, but another `up` would make a new file."""
    descriptors = list(port_leases._lock("port-23456") or ())
    files = [Path(os.readlink(f"/proc/self/fd/{one}")) for one in descriptors]
    assert len(files) == 1
    assert port_leases.lost(descriptors) == []
    for _ in range(2):
        files[0].unlink()
        waiting = Waiting(plan_of(), leases=descriptors)
        assert waiting.run() is None
        warning = ("warning", "the lease port-23456 was removed; it is taken again")
        assert waiting.told == [warning]
        assert files[0].exists()
        assert port_leases._lock("port-23456") is None, "no other process gets it"
        assert Waiting(plan_of(), leases=descriptors).run() is None, "it is ours now"


def test_a_lease_in_two_folders_is_lost_with_both_files(
    lease_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another `up` needs both: one lock that is left keeps it out."""
    state = lease_home / "state"
    state.mkdir(mode=0o700)
    monkeypatch.setattr(lease_folder, "_state", lambda environ: iter([state]))
    descriptors = list(port_leases._lock("port-23458") or ())
    files = [Path(os.readlink(f"/proc/self/fd/{one}")) for one in descriptors]
    assert len(files) == 2
    files[0].unlink()
    assert port_leases.lost(descriptors) == []
    files[1].unlink()
    assert port_leases.lost(descriptors) == ["port-23458"]


def test_a_lease_that_another_took_meanwhile_ends_the_restart(lease_home: Path) -> None:
    descriptors = list(port_leases._lock("port-23457") or ())
    for one in descriptors:
        Path(os.readlink(f"/proc/self/fd/{one}")).unlink()
    theirs = port_leases._lock("port-23457")
    assert theirs
    waiting = Waiting(plan_of(), leases=descriptors)
    assert waiting.run() == "port-leased"


GIB = 1024**3


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([], False),
        ([(0, 0.2)], True),
        ([(0, 60)], False),
        ([(0, 60), (0.5, 40), (1, 1.5)], True),
        ([(0, 60), (2, 60)], False),
        ([(0, 60), (2, 30), (4, 30)], False),
        ([(0, 60), (2, 30), (4, 30), (5, 30)], True),
    ],
)
def test_when_the_memory_of_gpus_has_settled(
    looks: list[tuple[float, float]], expected: bool
) -> None:
    """Empty; or unchanged for three seconds: then it is another program's."""
    story = [(time, {"0": GpuMemory(int(used * GIB), 80 * GIB)}) for time, used in looks]
    assert settled(story) == expected


SMI = """#!/bin/sh
case "$*" in
  *memory.used*) echo "0, GPU-aaaa, $(cat {used}), 81559"; echo "1, GPU-bbbb, 70000, 81559";;
  *) exit 9;;
esac
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the MiB that a stand-in for nvidia-smi tells of GPU 0."""
    used = tmp_path / "used"
    used.write_text("40000")
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(SMI.format(used=used))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return used


def write(file: Path, text: str) -> None:
    file.write_text(text)


def test_nvidia_smi_is_asked_for_the_cards_of_the_plan(smi: Path) -> None:
    memory = {"0": GpuMemory(40000 * MIB, 81559 * MIB)}
    assert memory_of(("0",)) == memory
    assert memory_of(("GPU-aaaa",)) == {"GPU-aaaa": memory["0"]}
    assert memory_of(("7",)) == {}


def test_memory_that_is_released_a_moment_later_is_waited_for(smi: Path) -> None:
    waiting = Waiting(plan_of(gpus=("0",)))
    waiting.loop.call_later(0.5, functools.partial(write, smi, "3"))
    assert waiting.run() is None
    assert waiting.waits == ["the memory of its GPUs"]
    assert waiting.told == []


def test_memory_that_another_program_has_is_told_and_not_waited_for(
    smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_release, "STEADY", 0.5)
    waiting = Waiting(plan_of(gpus=("0",)))
    assert waiting.run() is None
    assert waiting.told == [
        ("warning", "memory in use before the restart: GPU 0: 39.1 of 79.6 GiB")
    ]


def test_a_driver_that_does_not_tell_keeps_no_engine_down(
    smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (smi.parent / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    loop = Loop()
    release = GpuRelease(loop, plan_of(gpus=("0",)))
    loop.run_until(lambda: release.settled, 60)
    assert (release.settled, release.note()) == (True, "")
    assert GpuRelease(loop, plan_of()).settled, "an engine on the CPU asks nothing"


def test_the_thread_ends_with_its_question(smi: Path) -> None:
    smi.write_text("1")
    loop = Loop()
    before = threading.active_count()
    release = GpuRelease(loop, plan_of(gpus=("0",)))
    loop.run_until(lambda: release.settled, 60)
    wait_for(lambda: threading.active_count() <= before, "the end of the thread")
