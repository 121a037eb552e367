"""`status` of 20 running instances, beside `--version` and other supervisors' status of 20."""

import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.measure import alternate, bench, command, environment, machine, table

INSTANCES = 20
VERSION = "ernie-deploy --version"
EVERY = f"ernie-deploy status of {INSTANCES}, each asked over HTTP"


def main() -> None:
    """Start 20 scripted engines, ask for all of them and for one."""
    machine()
    with bench() as rig, tempfile.TemporaryDirectory(prefix="edt-peers-") as folder:
        names = [f"bench-{number:02}" for number in range(INSTANCES)]
        try:
            for name in names:
                rig.up(name)
            env = environment()
            with peers.supervisors(Path(folder), INSTANCES) as supervisors:
                works: dict[str, Callable[[], object]] = {
                    "bare Python": partial(command, (sys.executable, "-c", ""), env),
                    VERSION: lambda: rig.run("--version"),
                    "ernie-deploy status of 1": lambda: rig.run("status", names[0]),
                    EVERY: lambda: rig.run("status"),
                }
                works |= {
                    f"{os.path.basename(peer.status[0])} status of {INSTANCES}": partial(
                        command, peer.status, env
                    )
                    for peer in supervisors
                }
                times = alternate(works)
            table(times, VERSION, {EVERY: "1.5"})
            print()
            table(times, "bare Python")
            if rig.run("status").stdout.count(" ready ") != INSTANCES:
                raise RuntimeError("not every instance was ready")
        finally:
            for name in names:
                rig.run("down", name)


if __name__ == "__main__":
    main()
