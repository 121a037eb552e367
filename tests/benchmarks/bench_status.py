"""`status` of 1, 10 and 50 running instances, and how it grows, beside other supervisors' status.

The aim: all of 50 in at most twice the time of one that is named. `--version` is the command
line's floor: it starts the interpreter and looks at nothing.
"""

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.measure import alternate, bench, command, environment, figure, machine, table
from tests.support import cli
from tests.support.rig import Rig

COUNTS = (1, 10, 50)
ROUNDS = 15
VERSION = "ernie-deploy --version"
ONE = "ernie-deploy status NAME"


def start(rig: Rig, names: list[str]) -> None:
    """Bring scripted engines up, some at a time."""
    for at in range(0, len(names), 5):
        started = [rig.spawn("up", rig.profile(name)) for name in names[at : at + 5]]
        for process in started:
            process.communicate()
            if process.returncode:
                raise RuntimeError("an instance did not start")


def main() -> None:
    """Start more and more, and ask for one and for all."""
    machine()
    medians: dict[str, dict[int, float]] = {}
    names: list[str] = []
    with bench() as rig:
        try:
            for count in COUNTS:
                more = [f"bench-{number:02}" for number in range(len(names), count)]
                names += more
                start(rig, more)
                with tempfile.TemporaryDirectory(prefix="edt-peers-") as folder:
                    measure(rig, Path(folder), names, medians)
            for name, by_count in medians.items():
                least, most = COUNTS[0], COUNTS[-1]
                growth = by_count[most] / by_count[least]
                figure(f"{name}: {most} beside {least}", growth, "times")
            fifty = medians["ernie-deploy status"][COUNTS[-1]] / medians[ONE][COUNTS[-1]]
            figure(f"{COUNTS[-1]} beside one that is named", fifty, "times", "aim 2")
        finally:
            downs = [rig.spawn("down", name) for name in names]
            for process in downs:
                process.communicate()


def measure(rig: Rig, folder: Path, names: list[str], medians: dict[str, dict[int, float]]) -> None:
    """All commands in turns, with so many instances and programs."""
    count = len(names)
    env = cli.environment(rig.home, rig.env)
    if rig.run("status").stdout.count(" ready ") != count:
        raise RuntimeError("not every instance was ready")
    with peers.supervisors(folder, count) as supervisors:
        works: dict[str, Callable[[], object]] = {
            "bare Python": partial(command, (sys.executable, "-c", ""), environment()),
            VERSION: partial(command, cli.argv("--version"), env),
            ONE: partial(command, cli.argv("status", names[0]), env),
            "ernie-deploy status": partial(command, cli.argv("status"), env),
        }
        works |= {
            f"{Path(peer.status[0]).name} status": partial(command, peer.status, environment())
            for peer in supervisors
        }
        times = alternate(works, ROUNDS)
    figures = {f"{name}, {count} running": seconds for name, seconds in times.items()}
    table(figures, f"{VERSION}, {count} running")
    for name, seconds in times.items():
        medians.setdefault(name, {})[count] = sorted(seconds)[len(seconds) // 2]


if __name__ == "__main__":
    main()
