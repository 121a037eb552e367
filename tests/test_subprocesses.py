"""Commands that are run for their answer: none holds the caller, its memory or a process."""

import resource
import sys
import time
from pathlib import Path

import pytest

from launcher import subprocesses
from tests.support.processes import alive, wait_for_end
from tests.support.waiting import wait_for

BOTH = pytest.mark.parametrize("terminal", [False, True], ids=["own session", "terminal"])


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-c", code, *arguments]


def test_what_it_printed_and_how_it_ended() -> None:
    done = subprocesses.run(
        python("import sys; print('yes'); print('no\\nwhy', file=sys.stderr); sys.exit(3)"),
        deadline=600,
    )
    assert (done.returncode, done.text, done.complaint) == (3, "yes\n", "why")
    assert not done.timed_out
    assert not done.too_long


@BOTH
def test_a_flood_is_cut_and_ended(terminal: bool) -> None:
    """`cmd:cat /dev/zero` once filled 2.4 GB before its deadline."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = subprocesses.run(["cat", "/dev/zero"], deadline=600, limit=1000, terminal=terminal)
    assert (done.returncode, done.too_long, done.timed_out) == (None, True, False)
    assert len(done.stdout) == 1001
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_flood_of_complaints_is_read_and_forgotten() -> None:
    flood = "import sys; sys.stderr.write('x' * 3_000_000 + '\\nlast'); print('yes')"
    done = subprocesses.run(python(flood), deadline=600)
    assert (done.returncode, done.text, done.complaint) == (0, "yes\n", "last")
    assert len(done.stderr) <= 4096


SLEEPERS = """
import os, subprocess, sys, time
inner = [sys.executable, "-I", "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(inner)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
"""


@BOTH
@pytest.mark.parametrize("close", ["", "os.close(1); os.close(2);"], ids=["quiet", "closed"])
def test_one_that_does_not_end_is_ended_with_what_it_started(
    terminal: bool, close: str, tmp_path: Path
) -> None:
    mark = tmp_path / "pids"
    code = SLEEPERS + f"{close}time.sleep(600)"
    done = subprocesses.run(python(code, str(mark)), deadline=3, terminal=terminal)
    assert (done.returncode, done.timed_out) == (None, True)
    # On a slow machine it may not have come as far as to start its child.
    for pid in map(int, mark.read_text().split() if mark.exists() else ()):
        wait_for_end(pid)


def test_who_inherits_its_output_is_not_waited_for() -> None:
    """A daemon that a password manager starts keeps the pipe open for as long as it lives."""
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-I', '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid)"
    )
    started = time.monotonic()
    done = subprocesses.run(python(code), deadline=500)
    assert time.monotonic() - started < 400
    assert done.returncode == 0
    pid = int(done.text)
    try:
        assert alive(pid), "it is the user's, as the command's own end was in order"
    finally:
        import os
        import signal

        os.kill(pid, signal.SIGKILL)


def test_an_exception_ends_it_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mark = tmp_path / "pids"

    def interrupted(*args: object) -> bool:
        wait_for(mark.exists, "the command")
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocesses, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        subprocesses.run(python(SLEEPERS + "time.sleep(600)", str(mark)), deadline=600)
    for pid in map(int, mark.read_text().split()):
        wait_for_end(pid)


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        subprocesses.run(["/nonexistent/command"], deadline=600)
