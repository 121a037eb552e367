"""Whose a port, a name in /dev/shm or a queue is: our own dead instance's, a living sibling's,
a stranger's, another user's; and what is offered for each."""

import dataclasses
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from launcher import doctor
from launcher.host import kernel
from launcher.host.kernel import MessageQueue
from launcher.keeper import identity
from launcher.preparation import owners
from launcher.preparation.owners import Owner, Owners
from tests.support import ROOT, cli, processes
from tests.support.decoded import JsonDict
from tests.support.ports import free_port
from tests.support.rig import Rig
from tests.support.waiting import wait_for

TOUGH = {"sigterm": "ignore"}
"""Its engine lives on when its keeper and guard are killed."""


@pytest.fixture
def here(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A bench whose state directory is that of this process too."""
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(rig.home))
    return rig


def kill_all(rig: Rig, name: str = "one") -> None:
    """As the memory killer or a careless operator does: keeper, guard, engine, at once."""
    rig.lose(name)
    processes.kill([process.pid for process in processes.of_home(rig.home)])
    wait_for(lambda: not processes.of_home(rig.home), "the end of all")


def port_of(rig: Rig, name: str = "one") -> int:
    number: int = rig.stored(name, "plan.json")["ports"][0]["number"]
    return number


def finding(ran: cli.Ran, check: str) -> JsonDict:
    matching: dict[str, object] = next(
        f for f in ran.json["data"]["findings"] if f["check"] == check
    )
    return matching


def test_the_words_are_the_keepers() -> None:
    assert identity.FOLDER_VARIABLE == owners.FOLDER


def test_a_port_of_a_dead_instance_is_its_own_trace(rig: Rig) -> None:
    rig.up(script=TOUGH)
    rig.lose()
    port = port_of(rig)
    two = rig.profile("two", ports={"api": port})

    up = rig.run("up", two, "--json")
    assert (up.rc, rig.errors(up)) == (3, ["port-taken"]), up.output()
    error = up.json["errors"][0]
    assert "what is left of the instance one" in error["message"]
    assert "`ernie-deploy down one`" in error["remedy"]

    result = finding(rig.run("doctor", two, "--fast", "--json"), "ports")
    assert result["status"] == "FAIL"
    assert "what is left of the instance one" in result["evidence"]
    assert "`ernie-deploy down one`" in result["remedy"]
    assert "stop that process" not in result["remedy"]

    one = rig.profile("one", script=TOUGH, ports={"api": port})
    result = finding(rig.run("doctor", one, "--fast", "--json"), "ports")
    assert result["status"] == "WARN", "`up` of the same instance cleans up first"
    rig.down()
    result = finding(rig.run("doctor", two, "--fast", "--json"), "ports")
    assert result["status"] == "PASS"


def test_a_port_of_a_living_sibling_is_not_offered_for_anything(rig: Rig) -> None:
    rig.up()
    two = rig.profile("two", ports={"api": port_of(rig)})
    up = rig.run("up", two, "--json")
    assert (up.rc, rig.errors(up)) == (3, ["port-leased"]), up.output()
    error = up.json["errors"][0]
    assert f"the instance one, which runs (keeper pid {rig.keeper()})" in error["message"]
    assert "down" not in error["remedy"]
    result = finding(rig.run("doctor", two, "--fast", "--json"), "ports")
    assert "the instance one, which runs" in result["evidence"]
    assert "what is left" not in result["evidence"]
    rig.down()


def test_a_strangers_port_stays_a_strangers(rig: Rig) -> None:
    rig.up()
    kill_all(rig)
    with closing(socket.socket()) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port_of(rig)))
        server.listen()
        two = rig.profile("two", ports={"api": port_of(rig)})
        up = rig.run("up", two, "--json")
        result = finding(rig.run("doctor", two, "--fast", "--json"), "ports")
    assert rig.errors(up) == ["port-taken"], up.output()
    assert f"pid {os.getpid()}" in up.json["errors"][0]["message"]
    assert "one" not in up.json["errors"][0]["message"].replace("(api)", "").split()
    assert "stop that process" in result["remedy"]
    assert "ernie-deploy down" not in result["remedy"]
    rig.down()


@pytest.fixture
def traced(here: Rig) -> Iterator[tuple[Rig, Path]]:
    """An instance that is ready and has a FastDeploy trace of its own port below /dev/shm."""
    port = free_port()
    name = f"worker_ready_signal.{port}"
    here.up(script={"before": [{"shm": name}]}, ports={"api": port}, args={"shm": [name]})
    yield here, Path("/dev/shm", name)
    Path("/dev/shm", name).unlink(missing_ok=True)


def shm_leftovers() -> tuple[str, str]:
    finding = next(f for f in doctor.run(doctor.machine()) if f.check == "shm-leftovers")
    return finding.evidence, finding.remedy or ""


def test_shared_memory_of_a_living_instance_is_nobodys_leftover(traced: tuple[Rig, Path]) -> None:
    """Even where its port cannot be seen: the claim is enough."""
    rig, path = traced
    assert Owners().of_file(str(path)) == Owner(os.path.realpath(rig.instance()), rig.keeper())
    assert path.name not in "".join(shm_leftovers())
    rig.down()


@pytest.mark.parametrize("claimed", [True, False], ids=["claimed", "by its port"])
def test_shared_memory_of_a_dead_instance_is_downs(traced: tuple[Rig, Path], claimed: bool) -> None:
    rig, path = traced
    kill_all(rig)
    if not claimed:
        state = rig.stored() | {"shm": []}
        (rig.instance() / "state.json").write_text(json.dumps(state))
    os.utime(path)  # the newest is shown
    evidence, remedy = shm_leftovers()
    assert path.name in evidence
    assert "what is left of the instance one, whose keeper is gone" in evidence
    assert "`ernie-deploy down one`" in remedy
    assert str(path) not in remedy
    rig.down()
    assert not path.exists(), "what was offered removes it"
    assert path.name not in "".join(shm_leftovers())


def test_shared_memory_of_nobody_is_removed_by_its_exact_path(here: Rig) -> None:
    path = Path("/dev/shm", f"worker_ready_signal.{free_port()}")
    path.touch()
    try:
        _, remedy = shm_leftovers()
        command = remedy.partition("rm -- ")[2].partition(" (")[0]
        assert str(path) in shlex.split(command)
        with path.open():
            assert path.name not in "".join(shm_leftovers()), "a living process has it open"
    finally:
        path.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user, so root")
def test_shared_memory_of_another_user_is_not_offered(here: Rig) -> None:
    path = Path("/dev/shm", f"worker_ready_signal.{free_port()}")
    path.touch()
    try:
        os.chown(path, 65533, 65533)
        os.utime(path, (time.time() + 60, time.time() + 60))
        evidence, remedy = shm_leftovers()
    finally:
        path.unlink()
    assert f"{path.name} belongs to uid 65533" in evidence
    assert str(path) not in remedy


def a_queue(**changed: Any) -> MessageQueue:
    queue = MessageQueue(0x4D010203, 7, 3, os.geteuid(), int(time.time()), 0, 0)
    return dataclasses.replace(queue, **changed)


def test_a_queue_of_nobody_is_removed_by_its_exact_number(here: Rig) -> None:
    whose, remedy = owners.queue_remedy(a_queue(), Owners(), "take another port")
    assert "no living process" in whose
    assert "`ipcrm -q 7`" in remedy


def test_a_queue_that_somebody_uses_is_not_offered(here: Rig) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        used = a_queue(last_receiver=process.pid, received=int(time.time()) + 1)
        whose, remedy = owners.queue_remedy(used, Owners(), "take another port")
        assert f"pid {process.pid}" in whose
        assert remedy == "take another port"
        # The number is another's by now: it was started after the last message.
        reused = a_queue(last_receiver=process.pid, received=int(time.time()) - 1000)
        assert kernel.queue_user(reused) is None
        process.kill()
    assert kernel.queue_user(used) is None


def test_a_queue_of_another_user_is_not_offered(here: Rig) -> None:
    whose, remedy = owners.queue_remedy(
        a_queue(uid=os.geteuid() + 1), Owners(), "take another port"
    )
    assert whose == f"it belongs to uid {os.geteuid() + 1}"
    assert remedy == "take another port"


@pytest.mark.parametrize("alive", [True, False], ids=["sibling", "dead"])
def test_a_queue_of_an_instance(here: Rig, alive: bool) -> None:
    queues = here.folder / "queues"
    queues.mkdir()
    here.up(script={"before": [{"queue": [str(queues), 72]}]}, args={"queue": [[str(queues), 72]]})
    claim = wait_for(lambda: here.stored()["queues"], "the claim in the state")[0]
    queue = a_queue(ident=claim["id"], key=claim["key"], created=claim["created"])
    if not alive:
        kill_all(here)
    whose, remedy = owners.queue_remedy(queue, Owners(), "take another port")
    assert "ipcrm" not in remedy
    assert ("`ernie-deploy down one`" in remedy) is not alive
    two = here.run("up", here.profile("two", args={"queue": [[str(queues), 72]]}), "--json")
    # The doctor looks before the start does.
    assert here.errors(two) == ["message-queues"], two.output()
    assert whose in two.json["errors"][0]["message"]
    assert remedy.startswith("`ernie-deploy down one`") is not alive
    here.run("down", "two")
    here.down()


@pytest.mark.parametrize("bits", [8, 20])
def test_a_queue_that_was_not_claimed_is_known_by_the_plans_key(here: Rig, bits: int) -> None:
    """Killed between the queue's making and the keeper's next look."""
    here.up()
    kill_all(here)
    plan = here.stored(file="plan.json")
    port = plan["ports"][0]["number"]
    a_strangers = a_queue(key=(port & 255) << 24)
    assert Owners().of_queue(a_strangers) is None, "a port's low byte alone is anybody's"

    plan["leftovers"]["queues"] = [{"path": "/dev/shm", "project": 72, "bits": bits}]
    (here.instance() / "plan.json").write_text(json.dumps(plan))
    queue = a_queue(key=kernel.ftok("/dev/shm", 72, bits))
    owner = Owners().of_queue(queue)
    assert owner is not None
    assert owner.name == "one"
    assert Owners().of_queue(dataclasses.replace(queue, created=1)) is None, "older than its start"
    here.down()


def test_one_that_ended_and_left_nothing_owns_nothing(here: Rig) -> None:
    here.up()
    port = port_of(here)
    assert Owners().of_port(port) is not None
    here.down()
    assert Owners().of_port(port) is None


def test_one_without_files_is_known_by_its_processes(here: Rig) -> None:
    here.up(script=TOUGH)
    engine = here.engine()
    here.lose()
    shutil.rmtree(here.instance())
    owner = Owners().of_process(engine)
    assert owner is not None
    assert (owner.name, owner.is_dead) == ("one", True)
    assert here.run("down", "one").rc == 0


def test_an_instance_of_another_home_is_ended_there(
    here: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here.up(script=TOUGH)
    engine = here.engine()
    here.lose()
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path / "an other"))
    owner = Owners().of_process(engine)
    assert owner is not None
    home = os.path.realpath(here.home)
    assert owner.down() == f"ERNIE_DEPLOY_HOME={shlex.quote(home)} ernie-deploy down one"
    # It does what it says, as a shell reads it.
    env = {**os.environ, **{k: v for k, v in here.env.items() if v is not None}}
    env["PATH"] = f"{ROOT / '.venv' / 'bin'}:{env['PATH']}"
    ran = subprocess.run(["sh", "-c", owner.down()], env=env, capture_output=True, check=False)
    assert ran.returncode == 0, ran
    assert not processes.alive(engine)


@pytest.mark.parametrize("text", [
    "", "[]", "{", '{"state": "ready", "ports": 5, "shm": {"a": 1}}', '{"ports": {"api": "x"}}',
    '{"state": "ready", "processes": [1, {"pid": "x"}], "queues": [null]}', "[" * 100_000,
    '{"leftovers": {"queues": [1, {"path": "\\u0000", "bits": 8}, {"path": "/", "bits": 9}]}}',
])  # fmt: skip
@pytest.mark.parametrize("name", ["state.json", "plan.json"])
def test_damaged_files_end_no_message(here: Rig, name: str, text: str) -> None:
    folder = here.instance()
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    owners = Owners()
    assert owners.of_port(1) is None
    assert owners.of_process(os.getpid()) is None
    assert owners.of_file("/dev/shm", 1) is None
    assert owners.of_queue(a_queue()) is None
