"""Slurm: the batch script, and two replicas on a real cluster of two nodes on this machine."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.render.rendering import render
from launcher.render.subject import collect
from tests.render.examples import SHIPPED, load
from tests.support import ROOT, engines
from tests.support.rig import Rig, rig
from tests.support.slurm import NODES, Cluster, needs_slurm
from tests.support.waiting import wait_for

__all__ = ["rig"]
LARGE = ROOT / "profiles" / "ernie-4.5-300b-a47b.yaml"
TINY = ROOT / "profiles" / "ernie-tiny-cpu.yaml"
DEADLINE = 240
"""Seconds until something that Slurm or a server does has failed."""


def script(path: Path, *sets: str, **options: Any) -> str:
    rendered = render("slurm", load(path, *sets), **options)
    (text,) = [one.text for one in rendered.files if one.path.endswith(".sbatch")]
    return text


def options(text: str) -> dict[str, str]:
    pairs = re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", text, re.MULTILINE)
    return dict(pairs)


def test_the_options_are_those_of_the_plan() -> None:
    text = script(LARGE, "render.time-limit=24h", "render.partition=gpu", replicas=4)
    subject = collect(load(LARGE), "job", version=None, replicas=4)
    asked = options(text)
    assert asked["gpus-per-node"] == "8"
    assert asked["array"] == "0-3"
    assert asked["time"] == str(24 * 60)
    assert asked["partition"] == "gpu"
    assert subject.memory is not None
    assert int(asked["mem"][:-1]) * 1024**2 >= subject.memory + subject.shm
    receiver, _, seconds = asked["signal"].partition("@")
    assert receiver == "B:TERM"
    assert int(seconds) > subject.stop_seconds
    assert asked["requeue"] == ""


def test_what_is_not_asked_for_is_left_to_the_cluster() -> None:
    assert not {"gpus-per-node", "array", "time", "partition", "mem"} & set(options(script(TINY)))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_bash_reads_the_script(path: Path) -> None:
    text = script(path)
    assert text.startswith("#!/bin/bash\n")
    assert "@" not in re.sub(r"B:TERM@\d+", "", text).replace('"$@"', "")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_script_has_no_known_mistake(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    path = tmp_path / "s.sh"
    path.write_text(script(TINY, replicas=2))
    ran = subprocess.run(["shellcheck", "-s", "bash", path], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    needs_slurm()
    folder = tmp_path / "cluster"
    folder.mkdir()
    one = Cluster(folder)
    try:
        one.start()
        yield one
    finally:
        one.close()


class Replicas:
    """Two replicas of a profile, submitted as a user does; `endpoints` is the door's list."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.endpoints = cluster.folder / "endpoints"

    def submit(self) -> None:
        # On loopback only: other machines have no business in a test.
        path = self.cluster.folder / f"{self.name}.yaml"
        path.write_text(path.read_text().replace("0.0.0.0", "127.0.0.1"))
        program = self.cluster.folder / "ernie-deploy"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m launcher "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.cluster.environment |= {
            "ERNIE_DEPLOY": str(program), "ERNIE_ENDPOINTS": str(self.endpoints),
            "TMPDIR": str(self.cluster.folder), "PATH": f"{Path(sys.executable).parent}:"
            + os.environ["PATH"],
        }  # fmt: skip
        self.cluster.run("sbatch", f"{self.name}.sbatch")

    def listed(self) -> dict[str, str]:
        """Replica and node, for each line of the door's list."""
        rows = [path.read_text().split() for path in self.endpoints.glob("*[0-9]")]
        return {row[0][-1]: row[1].partition(":")[0] for row in rows if len(row) == 3}

    def answers(self, replica: str) -> bool:
        """Whether the replica says on its published ports that it is ready, and its API too."""
        text = (self.endpoints / f"{self.name}-{replica}").read_text()
        _, api, admin = text.split()
        for port, path in ((admin, "/readyz"), (api.rpartition(":")[2], "/health")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                if answer.status != 200:
                    return False
        return True

    def job(self, replica: str) -> str:
        """The task's own job number."""
        text = self.cluster.run("squeue", "--noheader", "--array", "--format=%K %i")
        (number,) = [row.split()[1] for row in text.splitlines() if row.split()[0] == replica]
        return number

    def run_now(self, replica: str) -> None:
        """Slurm waits for two minutes with a job that was requeued, unless its time is set."""
        self.cluster.run("scontrol", "update", f"JobId={self.job(replica)}", "StartTime=now")

    def state(self, replica: str) -> str:
        return self.cluster.jobs().get(replica, ("", ""))[0]


def drill(cluster: Cluster, replicas: Replicas, *, limit: bool) -> None:
    """Ready on two nodes, drained before the time limit, moved when a node is lost."""
    replicas.submit()
    wait_for(
        lambda: len(replicas.listed()) == 2, f"two endpoints\n{cluster.logs()}", deadline=DEADLINE
    )
    assert sorted(replicas.listed().values()) == list(NODES)
    assert replicas.answers("0")
    assert replicas.answers("1")

    if not limit:
        # What Slurm sends before the time limit, now.
        cluster.run("scancel", "--signal=TERM", "--batch", replicas.job("0"))
    wait_for(lambda: "0" not in replicas.listed(), "replica 0 to leave the list", deadline=DEADLINE)
    wait_for(lambda: replicas.state("0") == "PENDING", "replica 0 in the queue", deadline=DEADLINE)
    states = list(cluster.folder.glob("ernie-deploy-[0-9]*"))
    assert len(states) <= 2, "the state of a stopped replica is removed"
    wait_for(lambda: _try(lambda: replicas.run_now("0")), "the new start", deadline=DEADLINE)
    wait_for(
        lambda: "0" in replicas.listed(), f"replica 0 again\n{cluster.logs()}", deadline=DEADLINE
    )
    assert replicas.answers("0")
    if limit:
        return  # replica 1 has reached its limit too

    (lost,) = [node for replica, node in replicas.listed().items() if replica == "1"]
    (other,) = set(NODES) - {lost}
    cluster.run("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=drill")
    # The batch script is killed with its node, so only the new start changes the list.
    wait_for(lambda: replicas.state("1") == "PENDING", "replica 1 in the queue", deadline=DEADLINE)
    wait_for(lambda: _try(lambda: replicas.run_now("1")), "the new start", deadline=DEADLINE)
    wait_for(
        lambda: replicas.listed().get("1") == other, f"replica 1 on {other}\n{cluster.logs()}",
        deadline=DEADLINE,
    )  # fmt: skip
    assert replicas.answers("1")
    # A job that is cancelled stops its server and does not come back.
    cluster.run("scancel", replicas.job("1"))
    wait_for(lambda: "1" not in replicas.listed(), "replica 1 to leave the list", deadline=DEADLINE)
    wait_for(lambda: not replicas.state("1"), "the end of replica 1", deadline=DEADLINE)
    assert replicas.answers("0"), "the other replica is untouched"


def _try(function: Any) -> bool:
    try:
        function()
    except (AssertionError, ValueError):
        return False
    return True


# Needs root, munge and a folder that munge trusts: not every machine of a CI has that.
@pytest.mark.soak
def test_two_replicas_on_a_real_cluster(cluster: Cluster, rig: Rig) -> None:
    profile = rig.profile(stop={"grace": "5s"})
    ran = rig.run(
        "render", "slurm", profile, "--engine-version", "1.0", "--replicas", "2",
        "-o", str(cluster.folder), "--json",
    )  # fmt: skip
    assert ran.rc == 0, ran.output()
    cluster.environment["PYTHONPATH"] = f"{rig.env['PYTHONPATH']}:{ROOT}"
    drill(cluster, Replicas(cluster, "one"), limit=False)


@pytest.mark.soak
@pytest.mark.engine("transformers")
@pytest.mark.parametrize("limit", [False, True], ids=["lost-node", "time-limit"])
def test_two_replicas_of_the_tiny_ernie(cluster: Cluster, rig: Rig, limit: bool) -> None:
    """With the real engine; `time-limit` waits for Slurm's own warning (about two minutes)."""
    sets = [f"python={engines.require('transformers')}", "stop.grace=5s"]
    sets += ["render.time-limit=3m"] if limit else []
    words = [word for one in sets for word in ("--set", one)]
    ran = rig.run(
        "render", "slurm", str(TINY), *words, "--replicas", "2", "-o", str(cluster.folder), "--json"
    )
    assert ran.rc == 0, ran.output()
    assert json.dumps(ran.json["data"]["files"])
    cluster.environment["PYTHONPATH"] = str(ROOT)
    drill(cluster, Replicas(cluster, "ernie-tiny-cpu"), limit=limit)
