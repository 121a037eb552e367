"""`top --once` and `status` of 50 running instances, beside `--version`; aims: 1 s and 0.5 s.

With ERNIE_BENCH_TWIN=1 the instances are FastDeploy twins, which take about 100 MB each.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks.measure import alternate, bench, command, environment, machine, table
from tests.support import ROOT
from tests.support.rig import Rig
from tests.twin import interpreter

INSTANCES = int(os.environ.get("ERNIE_BENCH_INSTANCES", "50"))
TWIN = os.environ.get("ERNIE_BENCH_TWIN") == "1"
VERSION = "ernie-deploy --version"
STATUS = f"ernie-deploy status of {INSTANCES}"
TOP = f"ernie-deploy top --once of {INSTANCES}"
JSON = f"ernie-deploy top --once --json of {INSTANCES}"


def main() -> None:
    """Start the engines, one of which hangs, and look at all of them."""
    machine()
    with bench() as rig:
        names = [f"bench-{number:02}" for number in range(INSTANCES)]
        try:
            start(rig, names)
            works: dict[str, Callable[[], object]] = {
                "bare Python": partial(command, (sys.executable, "-c", ""), environment()),
                VERSION: lambda: rig.run("--version"),
                STATUS: lambda: rig.run("status"),
                TOP: lambda: rig.run("top", "--once"),
                JSON: lambda: rig.run("top", "--once", "--json"),
            }
            table(alternate(works), VERSION, {STATUS: "500 ms", TOP: "1000 ms", JSON: "1000 ms"})
            rows = rig.run("top", "--once", "--json").json["data"]["instances"]
            if sum(row["load"] is not None for row in rows) < INSTANCES - 1:
                raise RuntimeError("not every server told its figures")
        finally:
            for name in names:
                rig.run("down", name)


def start(rig: Rig, names: list[str]) -> None:
    """Bring them up; the last of the scripted ones never tells its figures."""
    figures = rig.path("figures")
    with open(figures, "w") as file:
        file.write("fake:running 0\nfake:waiting 0\nfake:tokens_total 1000\nfake:kv_usage 0.2\n")
        file.writelines(f'other{{le="{number}"}} 1\n' for number in range(1000))
    for name in names:
        if TWIN:
            ran = rig.run("up", twin_profile(rig, name), "--json")
            if ran.rc:
                raise RuntimeError(ran.output())
        else:
            rig.up(name, {"exposition": "hang" if name == names[-1] else figures})


def twin_profile(rig: Rig, name: str) -> str:
    """A profile of the twin of FastDeploy 2.3, started in a twentieth of the real time."""
    folder = Path(rig.path("twin"))
    python = folder / "bin" / "python"
    if not python.exists():
        interpreter.make_interpreter(folder, "2.3")
    path = Path(rig.path(f"{name}.yaml"))
    profile = {
        "name": name,
        "engine": "fastdeploy",
        "python": str(python),
        "model": str(ROOT / "profiles" / "tiny-ernie"),
        "max-model-len": 2048,
        "max-num-seqs": 4,
        "env": {"TWIN_TIME_SCALE": "0.05", "TWIN_MAX_LIFETIME": "3600"},
    }
    path.write_text(json.dumps(profile))
    return str(path)


if __name__ == "__main__":
    main()
