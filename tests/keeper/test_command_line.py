"""Which processes are of a kind: by the whole command line, and not by a fork's."""

import re
import subprocess
import sys

from launcher.keeper import command_line, identity
from launcher.keeper.identity import Process
from tests.support.waiting import wait_for

VITAL = [re.compile(r"worker/worker_process\.py")]


def test_a_name_behind_long_paths_is_found() -> None:
    """An interpreter deep in a state directory: the script's name starts after 200 characters."""
    long = "/srv/" + "deep/" * 40 + "worker/worker_process.py"
    argv = [sys.executable, "-I", "-S", "-c", "input()", long]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE)
    try:
        process = identity.look(child.pid)
        assert process is not None
        # In the middle of its exec, a process has no command line.
        wait_for(lambda: command_line.read_all([process])[child.pid].endswith(long), "exec")
        lines = command_line.read_all([process])
        assert list(command_line.matching([process], lines, VITAL)) == [child.pid]
    finally:
        child.communicate(b"\n")


def test_a_fork_is_told_from_a_program_by_its_parents_command_line() -> None:
    worker, child = Process(10, 1, 1, 1, "python"), Process(11, 1, 1, 10, "python")
    lines = {10: "python worker/worker_process.py", 11: "python worker/worker_process.py"}
    assert list(command_line.matching([worker, child], lines, VITAL)) == [10, 11]
    assert command_line.forks([worker, child], lines) == {11}
    lines[11] = "nvidia-smi"
    assert list(command_line.matching([worker, child], lines, VITAL)) == [10]
    assert command_line.forks([worker, child], lines) == set()


def test_a_process_without_a_command_line_is_of_no_kind() -> None:
    gone = Process(2**22 + 1, 1, 1, 1, "gone")
    assert command_line.matching([gone], command_line.read_all([gone]), [re.compile("")]) == {}
