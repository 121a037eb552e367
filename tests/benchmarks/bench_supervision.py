"""Start, death, return and stop of one program, under ours and under other supervisors, in turns.

The program notes the moment in which it runs; the scripted engine below ours, in which it listens.
`up` of ours also leases ports, writes the plan, starts a guard and asks the server until it has
answered a completion, so two moments are shown: when the program runs, and when the command has
proved that it serves. Every supervisor runs with its defaults; ours with `restart: {first-delay:
0s}`, as a delay is a choice and no cost.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import peers, starter
from tests.benchmarks.measure import bench, command, environment, machine, show
from tests.support.rig import Rig
from tests.support.waiting import wait_for

OURS = "ernie-deploy"
ROUNDS = int(os.environ.get("ERNIE_BENCH_ROUNDS", "5"))
RESTARTED = (OURS, "supervisord", "circusd", "bare loop")
"""honcho ends everything when one program dies."""


class Notes:
    """The starts that the program noted."""

    def __init__(self, folder: Path) -> None:
        """They stand in a file below `folder`."""
        self.path = folder / "notes"
        self.path.touch()

    def all(self) -> list[tuple[float, int]]:
        """(monotonic seconds, pid) of each; the scripted engine does not note its pid."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [
            (float(line[0]), 0 if line[1] == "open" else int(line[1]))
            for line in lines
            if len(line) == 2 and (line[1] == "open" or line[1].isdigit())
        ]

    def wait_for(self, count: int) -> tuple[float, int]:
        """The newest, once there are so many."""
        wait_for(lambda: len(self.all()) >= count, f"start {count} of the program", deadline=120)
        return self.all()[count - 1]

    def argv(self) -> tuple[str, ...]:
        """The program's command line."""
        return (sys.executable, "-I", "-S", starter.__file__, str(self.path))


class Run:
    """One supervisor with one running program, and the moments of its start."""

    def __init__(
        self, runs: float, returned: float | None, stop: tuple[str, ...], pid: int
    ) -> None:
        """`stop` is the command that stops the program; `pid` is signalled where it is empty.

        `runs` and `returned` are seconds from the command to the program's first instruction and
        to the command's return.
        """
        self.runs, self.returned, self.stop, self.pid = runs, returned, stop, pid


@contextmanager
def ours(rig: Rig, notes: Notes) -> Iterator[Run]:
    """An instance; the engine itself notes its start."""
    profile = rig.profile("bench", {"stamp": str(notes.path)}, restart={"first-delay": "0s"})
    began = time.monotonic()
    ran = rig.run("up", profile)
    returned = time.monotonic() - began
    assert ran.rc == 0, ran.output()
    try:
        yield Run(notes.wait_for(1)[0] - began, returned, ("down", "bench"), rig.engine("bench"))
    finally:
        rig.run("down", "bench")


@contextmanager
def theirs(kind: str, folder: Path, notes: Notes) -> Iterator[Run]:
    """Another supervisor, just started."""
    began = time.monotonic()
    with peers.started(kind, folder / kind.replace(" ", "-"), notes.argv()) as peer:
        runs = notes.wait_for(1)[0] - began
        yield Run(runs, None, peer.stop, peer.pid)


def back(notes: Notes, count: int, pid: int) -> float:
    """From `kill -9` of the process `pid` to the first instruction of the next one, seconds."""
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return notes.wait_for(count)[0] - killed


def stopped(run: Run, rig: Rig, name: str, pid: int) -> float:
    """Seconds of the command that stops the program; it returns when the program has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        began = time.monotonic()
        if name == OURS:
            assert rig.run(*run.stop).rc == 0
        elif run.stop:
            command(run.stop, environment())
        else:  # the loop does not end its program, and honcho does
            (os.kill if name == "honcho" else os.killpg)(run.pid, signal.SIGTERM)
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        assert poller.poll(120_000), "the program goes on"
        return time.monotonic() - began
    finally:
        os.close(descriptor)


def one_round(rig: Rig, name: str, folder: Path, times: dict[str, list[float]]) -> None:
    """Start, kill, stop once."""
    notes = Notes(folder)
    run = ours(rig, notes) if name == OURS else theirs(name, folder, notes)
    with run as it:
        times.setdefault(f"start to the program's first instruction: {name}", []).append(it.runs)
        if it.returned is not None:
            what = f"`up` to its return, a completion answered: {name}"
            times.setdefault(what, []).append(it.returned)
        _, pid = notes.wait_for(1)
        if name in RESTARTED:
            time.sleep(1.5)  # supervisord calls a program started after a second
            killed = rig.engine("bench") if name == OURS else pid
            times.setdefault(f"kill -9 to the next one runs: {name}", []).append(
                back(notes, 2, killed)
            )
            _, pid = notes.wait_for(2)
            if name != OURS:
                time.sleep(1.5)
        if name == OURS:
            rig.wait_for_state("ready", "bench")
            pid = rig.engine("bench")
        times.setdefault(f"stop: {name}", []).append(stopped(it, rig, name, pid))


def main() -> None:
    """All in turns."""
    machine()
    times: dict[str, list[float]] = {}
    with bench() as rig:
        for _ in range(ROUNDS):
            for name in (OURS, *peers.kinds()):
                with tempfile.TemporaryDirectory(prefix="edt-peers-") as folder:
                    try:
                        one_round(rig, name, Path(folder), times)
                    except (AssertionError, RuntimeError, subprocess.SubprocessError) as error:
                        if name == OURS:
                            raise
                        print(f"{name} could not be measured: {error}")
    for what in sorted(times):
        show(what, times[what])


if __name__ == "__main__":
    main()
