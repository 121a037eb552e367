"""Slurm: the batch script, and two replicas on a real cluster of two nodes on this machine."""

import functools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.door.runtime import Door
from launcher.engines.haproxy.engine import MASTER_SOCKET, STATS_SOCKET
from launcher.render.rendering import render
from launcher.render.subject import collect
from tests.render.examples import SHIPPED, load
from tests.support import ROOT, engines
from tests.support.rig import Rig, rig
from tests.support.slurm import NODES, Cluster, needs_slurm
from tests.support.waiting import Clock, wait_for

__all__ = ["rig"]
LARGE = ROOT / "profiles" / "ernie-4.5-300b-a47b.yaml"
TINY = ROOT / "profiles" / "ernie-tiny-cpu.yaml"
DEADLINE = 240
"""Seconds until something that Slurm or a server does has failed."""
wait = functools.partial(wait_for, deadline=DEADLINE, interval=0.2)


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
    requested = options(text)
    assert requested["gpus-per-node"] == "8"
    assert requested["array"] == "0-3"
    assert requested["time"] == str(24 * 60)
    assert requested["partition"] == "gpu"
    assert subject.memory is not None
    assert int(requested["mem"][:-1]) * 1024**2 >= subject.memory + subject.shm
    receiver, _, seconds = requested["signal"].partition("@")
    assert receiver == "B:TERM"
    assert int(seconds) > subject.stop_seconds
    assert requested["requeue"] == ""


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
def cluster() -> Iterator[Cluster]:
    needs_slurm()
    one = Cluster()
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
            # Both nodes are this machine, and their names are in no name service.
            "ERNIE_ADDRESS": "127.0.0.1", "TMPDIR": str(self.cluster.folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        self.cluster.run("sbatch", f"{self.name}.sbatch")

    def listed(self) -> list[str]:
        """The replicas in the door's list."""
        rows = [path.read_text().split() for path in self.endpoints.glob("*[0-9]")]
        return sorted(row[0][-1] for row in rows if len(row) == 3)

    def node(self, replica: str) -> str:
        return self.cluster.jobs().get(replica, ("", ""))[1]

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
        """Slurm waits for two minutes with a job that was requeued, unless its time is set.

        Not at once: a node refuses a job whose last run ended within the same second.
        """
        self.cluster.run("scontrol", "update", f"JobId={self.job(replica)}", "StartTime=now+3")

    def state(self, replica: str) -> str:
        return self.cluster.jobs().get(replica, ("", ""))[0]


class FrontDoor:
    """`ernie-deploy door --follow` of the profile, and clients that ask it without a break."""

    def __init__(self, rig: Rig, replicas: Replicas, profile: str) -> None:
        self.name = f"{replicas.name}-door"
        self._rig = rig
        self._process = rig.spawn(
            "door", profile, "--name", replicas.name, "--endpoints", str(replicas.endpoints),
            "--follow",
        )  # fmt: skip
        wait_for(lambda: rig.stored(self.name).get("state") == "ready", "the front door")

    def servers(self) -> list[str]:
        """The replicas that get requests, by their number."""
        socket = Path(self._rig.stored(self.name, "plan.json")["temporary_folder"]) / STATS_SOCKET
        states = Door(socket, socket.parent / MASTER_SOCKET).servers()
        return sorted(one.name[-1] for one in states if one.state == "up")

    def ask(self) -> int:
        """The status of one short chat with the model that the replicas name."""
        url = f"http://127.0.0.1:{self._rig.stored(self.name)['ports']['api']}/v1"
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=120) as answer:
                model = json.loads(answer.read())["data"][0]["id"]
            body = {
                "model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2,
            }  # fmt: skip
            request = urllib.request.Request(
                f"{url}/chat/completions", json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=120) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._rig.run("down", self.name, "--drain", "0").rc == 0


def drill(cluster: Cluster, replicas: Replicas, door: FrontDoor, *, limit: bool) -> None:
    """Ready on two nodes, drained before the time limit, moved when a node is lost."""
    clock = Clock()
    replicas.submit()
    wait(
        lambda: len(replicas.listed()) == 2, lambda: f"two endpoints\n{cluster.logs()}",
    )  # fmt: skip
    assert sorted(replicas.node(one) for one in "01") == list(NODES)
    wait(lambda: door.servers() == ["0", "1"], "two servers of the door")
    assert replicas.answers("0")
    assert replicas.answers("1")
    assert door.ask() == 200
    clock.step("both replicas behind the door, after sbatch")

    if not limit:
        # What Slurm sends before the time limit, now.
        cluster.run("scancel", "--signal=TERM", "--batch", replicas.job("0"))
    wait(lambda: "0" not in replicas.listed(), "replica 0 to leave the list")
    clock.step("the warning, until replica 0 left the list")
    wait(lambda: "0" not in door.servers(), "replica 0 to leave the door")
    clock.step("the door after it")
    if not limit:
        assert [door.ask() for _ in range(10)] == [200] * 10, "the other replica answers"
    wait(lambda: replicas.state("0") == "PENDING", "replica 0 in the queue")
    clock.step("replica 0 drained, stopped and in the queue again")
    states = list(cluster.folder.glob("ernie-deploy-[0-9]*"))
    assert len(states) <= 2, "the state of a stopped replica is removed"
    wait(lambda: _try(lambda: replicas.run_now("0")), "the new start")
    wait(
        lambda: "0" in replicas.listed(), lambda: f"replica 0 again\n{cluster.logs()}",
    )  # fmt: skip
    wait(lambda: "0" in door.servers(), "replica 0 behind the door")
    assert replicas.answers("0")
    assert door.ask() == 200
    clock.step("replica 0 behind the door again, from a start time of now")
    if limit:
        return  # replica 1 has reached its limit too

    lost = replicas.node("1")
    (second,) = set(NODES) - {lost}
    cluster.run("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=drill")
    wait(lambda: door.servers() == ["0"], "the door without replica 1")
    clock.step("its node set down, until the door left replica 1 out")
    assert [door.ask() for _ in range(10)] == [200] * 10, "the other replica answers"
    wait(lambda: replicas.state("1") == "PENDING", "replica 1 in the queue")
    wait(lambda: _try(lambda: replicas.run_now("1")), "the new start")
    wait(
        lambda: replicas.node("1") == second and door.servers() == ["0", "1"],
        lambda: f"replica 1 on {second}\n{cluster.logs()}",
    )  # fmt: skip
    assert replicas.answers("1")
    assert door.ask() == 200
    clock.step(f"replica 1 on {second}, behind the door")
    # A job that is cancelled stops its server and does not come back.
    cluster.run("scancel", replicas.job("1"))
    wait(lambda: "1" not in replicas.listed(), "replica 1 to leave the list")
    wait(lambda: door.servers() == ["0"], "the door without replica 1")
    wait(lambda: not replicas.state("1"), "the end of replica 1")
    assert replicas.answers("0"), "the other replica is untouched"


def _try(function: Any) -> bool:
    try:
        function()
    except (AssertionError, ValueError):
        return False
    return True


def run_drill(cluster: Cluster, rig: Rig, name: str, *arguments: str, limit: bool) -> None:
    """Render, submit, and the drill behind a front door on an address of its own."""
    ran = rig.run(
        "render", "slurm", *arguments, "--replicas", "2", "-o", str(cluster.folder), "--json"
    )
    assert ran.rc == 0, ran.output()
    assert ran.json["data"]["files"]
    replicas = Replicas(cluster, name)
    replicas.endpoints.mkdir()
    path = rig.folder / "door.yaml"
    path.write_text(f"name: {name}\nengine: transformers\nmodel: a/b\nports: {{api: auto}}\n")
    door = FrontDoor(rig, replicas, str(path))
    try:
        drill(cluster, replicas, door, limit=limit)
    finally:
        door.close()


# Needs root, and slurmctld and munged that may run: not every machine of a CI has that.
@pytest.mark.soak
def test_two_replicas_on_a_real_cluster(cluster: Cluster, rig: Rig) -> None:
    profile = rig.profile(stop={"grace": "5s"})
    cluster.environment["PYTHONPATH"] = f"{rig.env['PYTHONPATH']}:{ROOT}"
    run_drill(cluster, rig, "one", profile, "--engine-version", "1.0", limit=False)


@pytest.mark.soak
@pytest.mark.engine("transformers")
@pytest.mark.parametrize("limit", [False, True], ids=["lost-node", "time-limit"])
def test_two_replicas_of_the_tiny_ernie(cluster: Cluster, rig: Rig, limit: bool) -> None:
    """With the real engine; `time-limit` waits for Slurm's own warning (about two minutes)."""
    sets = [f"python={engines.require('transformers')}", "stop.grace=5s"]
    sets += ["render.time-limit=3m"] if limit else []
    overrides = [word for one in sets for word in ("--set", one)]
    cluster.environment["PYTHONPATH"] = str(ROOT)
    run_drill(cluster, rig, "ernie-tiny-cpu", str(TINY), *overrides, limit=limit)
