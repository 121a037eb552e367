"""Whatever ends a drill, what it did is undone: also by `kill -9` of it."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.drill.undo import (
    Continue,
    FileSizeLimit,
    LeaveCgroup,
    Rewrite,
    Undo,
    Unlink,
    undone,
)
from launcher.errors import PreconditionError
from launcher.host.processes import look
from tests.support import ROOT
from tests.support.waiting import wait_for


@pytest.fixture
def sleeper() -> Iterator[Continue]:
    """A process that can be stopped, as the action that lets it continue."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    stopped = look(process.pid)
    assert stopped is not None
    yield Continue(process.pid, stopped.start)
    process.kill()
    process.wait()


@pytest.fixture
def undo() -> Iterator[Undo]:
    """One that is closed with the test at the latest."""
    with contextlib.closing(Undo()) as new:
        yield new


def state(pid: int) -> str:
    process = look(pid)
    return process.state if process is not None else ""


def stop(sleeper: Continue) -> None:
    os.kill(sleeper.pid, signal.SIGSTOP)
    wait_for(lambda: state(sleeper.pid) == "T", "the stop")


def test_a_stopped_process_continues_after_the_block(undo: Undo, sleeper: Continue) -> None:
    with undone(undo, sleeper):
        stop(sleeper)
    wait_for(lambda: state(sleeper.pid) == "S", "the process to continue")


def test_a_stopped_process_continues_after_an_exception(undo: Undo, sleeper: Continue) -> None:
    with contextlib.suppress(KeyboardInterrupt), undone(undo, sleeper):
        stop(sleeper)
        raise KeyboardInterrupt
    wait_for(lambda: state(sleeper.pid) == "S", "the process to continue")


def test_what_was_not_undone_is_undone_at_the_close(sleeper: Continue, tmp_path: Path) -> None:
    undo, file = Undo(), tmp_path / "planted"
    undo.add(sleeper)
    undo.add(Unlink(str(file)))
    file.touch()
    stop(sleeper)
    undo.close()
    wait_for(lambda: state(sleeper.pid) == "S", "the process to continue")
    assert not file.exists()


def test_kill_9_of_the_drill_leaves_nothing_behind(sleeper: Continue, tmp_path: Path) -> None:
    """What it cannot do any more is done by the process that it has started."""
    file = tmp_path / "planted"
    drill = (
        "import os, signal\n"
        "from launcher.drill.undo import Continue, Undo, Unlink\n"
        "undo = Undo()\n"
        f"undo.add(Continue({sleeper.pid}, {sleeper.start}))\n"
        f"undo.add(Unlink({str(file)!r}))\n"
        f"done = undo.add(Unlink({str(tmp_path / 'kept')!r}))\n"
        "undo.perform(done)\n"
        f"open({str(file)!r}, 'w').close()\n"
        f"open({str(tmp_path / 'kept')!r}, 'w').close()\n"
        f"os.kill({sleeper.pid}, signal.SIGSTOP)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run([sys.executable, "-c", drill], cwd=ROOT)
    assert ran.returncode == -signal.SIGKILL
    wait_for(lambda: state(sleeper.pid) == "S" and not file.exists(), "both to be undone")
    assert (tmp_path / "kept").exists(), "what was done already is not done again"


def test_a_process_that_has_another_start_is_not_signalled(undo: Undo, sleeper: Continue) -> None:
    stop(sleeper)
    with undone(undo, Continue(sleeper.pid, sleeper.start + 1)):
        pass
    assert state(sleeper.pid) == "T"
    os.kill(sleeper.pid, signal.SIGCONT)


def test_a_limit_is_set_back(undo: Undo, sleeper: Continue) -> None:
    soft, hard = resource.prlimit(sleeper.pid, resource.RLIMIT_FSIZE)
    with undone(undo, FileSizeLimit(sleeper.pid, sleeper.start, soft)):
        resource.prlimit(sleeper.pid, resource.RLIMIT_FSIZE, (0, hard))
        assert resource.prlimit(sleeper.pid, resource.RLIMIT_FSIZE) == (0, hard)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_FSIZE) == (soft, hard)


def test_a_kernels_file_holds_what_it_held(undo: Undo, tmp_path: Path) -> None:
    file = tmp_path / "memory.max"
    file.write_text("max")
    with undone(undo, Rewrite(str(file), "max")):
        file.write_text("4096")
    assert file.read_text() == "max"
    with undone(undo, Rewrite(str(tmp_path / "gone"), "max")):
        pass
    assert not (tmp_path / "gone").exists()


def test_a_cgroup_that_is_gone_is_undone(undo: Undo, tmp_path: Path) -> None:
    with undone(undo, LeaveCgroup(str(tmp_path / "gone"), str(tmp_path), "memory.max", "max")):
        pass


def test_what_cannot_be_undone_is_told(undo: Undo, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    number = undo.add(Unlink(str(folder)))
    with pytest.raises(PreconditionError) as raised:
        undo.perform(number)
    assert raised.value.problems[0].code == "fault-not-undone"
    folder.rmdir()
