"""The keeper's HTTP endpoint of whole instances: it answers whatever becomes of the engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.keeper.admin.address import admin_address
from launcher.keeper.events import read_events
from launcher.plan.model import LaunchPlan, PortUse
from tests.support import ROOT
from tests.support.admin import ask, get, metrics, status_page, statuses
from tests.support.cli import Ran
from tests.support.decoded import JsonDict
from tests.support.ports import free_port, is_free
from tests.support.processes import with_token
from tests.support.rig import Rig
from tests.support.waiting import wait_for

FOR_LONG = {"policy": "on-failure", "max-restarts": 2, "first-delay": 600, "max-delay": 600}


@contextmanager
def taken_port(address: str = "127.0.0.1") -> Iterator[int]:
    """A port on which this test listens."""
    number = free_port()
    with socket.create_server((address, number)):
        yield number


def findings(doctor: Ran) -> dict[str, JsonDict]:
    """What `doctor` found, by check."""
    return {one["check"]: one for one in doctor.json["data"]["findings"]}


def test_it_answers_while_the_engine_loads_and_when_it_is_ready(rig: Rig) -> None:
    go = rig.path("go")
    before = [{"print": "PHASE weights 40%"}, {"wait": go}]
    starting = rig.spawn("up", rig.profile(script={"before": before}))
    wait_for(lambda: rig.stored().get("phase") == "weights", "the phase")
    assert statuses(rig) == (200, 503, 503)
    assert ask(rig, "/readyz").text == "loading: phase weights 40 %\n"
    assert "weights" in metrics(rig)["ernie_deploy_start_phase_seconds"]
    Path(go).touch()
    assert starting.wait(600) == 0
    assert statuses(rig) == (200, 200, 200)
    assert metrics(rig)["ernie_deploy_state"]["ready"] == 1
    page = status_page(rig)
    assert (page["state"], page["pid"]) == ("ready", rig.engine())
    rig.down()


def test_it_is_shown_by_plan_and_status_and_gone_after_down(rig: Rig) -> None:
    number = free_port()
    profile = rig.profile(ports={"admin": number})
    plan = rig.run("plan", profile)
    assert f"{number}  on 127.0.0.1        keeper: /livez, /readyz" in plan.stdout
    rig.up(ports={"admin": number})
    url = f"http://127.0.0.1:{number}"
    (row,) = rig.run("status", "one", "--json").json["data"]["instances"]
    assert (row["admin_url"], row["ports"]["admin"]) == (url, number)
    text = rig.run("status", "one").stdout
    assert f"keeper at    {url}" in text
    again = rig.run("up", profile, "--json")
    assert again.json["data"]["already"], "the same profile is the same"
    rig.down()
    assert is_free(number)


def test_an_automatic_port_is_the_same_after_a_restart(rig: Rig) -> None:
    rig.up()
    number = rig.stored()["ports"]["admin"]
    assert number != rig.stored()["ports"]["api"]
    assert rig.run("restart", "one").rc == 0
    assert rig.stored()["ports"]["admin"] == number
    assert ask(rig, "/readyz").status == 200
    rig.down()


@pytest.mark.parametrize("signalled", ["engine", "every process"])
def test_it_answers_while_the_engine_is_stopped_by_a_signal(rig: Rig, signalled: str) -> None:
    rig.up()
    token = (rig.instance() / "token").read_text()
    pids = [rig.engine()] if signalled == "engine" else with_token(token)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            get(f"http://127.0.0.1:{rig.stored()['ports']['api']}", "/health", timeout=1)
        # Without a process of the engine that runs, only the keeper can have answered.
        for path in ("/livez", "/readyz", "/startupz", "/status", "/metrics"):
            assert ask(rig, path).status in (200, 503)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    rig.down()


@pytest.mark.parametrize("hangs", ["health", "completion"])
def test_it_answers_while_a_probe_of_the_engine_hangs(rig: Rig, hangs: str) -> None:
    stamp, path = Path(rig.path("stamp")), {"health": "/health", "completion": "/v1/chat"}[hangs]
    script = {hangs: "hang", "stamp": str(stamp)}
    starting = rig.spawn("up", rig.profile(script=script, health={"probe-timeout": 600}))
    wait_for(lambda: stamp.exists() and f"asked {path}" in stamp.read_text(), "the question")
    for _ in range(20):
        assert statuses(rig) == (200, 503, 503)
    starting.send_signal(signal.SIGINT)
    assert starting.wait(600) == 130
    rig.nothing_left()


def test_it_answers_between_two_runs_and_says_that_the_engine_has_ended(rig: Rig) -> None:
    rig.up(restart=FOR_LONG)
    assert metrics(rig)["ernie_deploy_restarts_total"] == {"": 0}
    rig.kill(rig.engine())
    wait_for(lambda: metrics(rig)["ernie_deploy_restarts_total"] == {"": 1}, "the restart")
    assert statuses(rig) == (503, 503, 503)
    assert ask(rig, "/livez").text.startswith("starting: the engine has ended; restart 1 of 2")
    counted = metrics(rig)
    assert counted["ernie_deploy_unavailable_seconds_total"][""] > 0
    assert list(counted["ernie_deploy_failures_total"].values()) == [1]
    (failure,) = [e for e in read_events(rig.instance()) if e["event"] == "failure"]
    assert list(counted["ernie_deploy_failures_total"]) == [failure["code"]]
    rig.down()


def test_its_own_port_is_not_in_the_way_of_a_restart(rig: Rig) -> None:
    rig.up(restart={"policy": "on-failure", "first-delay": 0.1})
    engine = rig.engine()
    rig.kill(engine)
    wait_for(lambda: status_page(rig)["pid"] != engine and statuses(rig)[1] == 200, "the restart")
    assert statuses(rig) == (200, 200, 200)
    counted = metrics(rig)
    assert counted["ernie_deploy_restarts_total"] == {"": 1}
    assert counted["ernie_deploy_state"]["ready"] == 1
    rig.down()


def test_a_unix_socket_is_for_this_user_only(rig: Rig) -> None:
    assert "admin.sock" in rig.run("plan", rig.profile(ports={"admin": "unix"})).stdout
    rig.up(ports={"admin": "unix"})
    path = rig.instance() / "admin.sock"
    assert rig.stored()["admin_url"] == f"unix:{path}"
    assert "admin" not in rig.stored()["ports"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert statuses(rig) == (200, 200, 200)
    path.unlink()
    wait_for(path.exists, "the socket made anew")
    assert statuses(rig) == (200, 200, 200)
    rig.down()
    assert not path.exists()


def test_a_change_from_port_to_socket_and_back_is_another_configuration(rig: Rig) -> None:
    rig.up()
    ran = rig.run("up", rig.profile(ports={"admin": "unix"}), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["different-configuration"])
    assert rig.run("restart", rig.profile(ports={"admin": "unix"})).rc == 0
    assert ask(rig, "/readyz").status == 200
    assert rig.run("restart", rig.profile()).rc == 0
    assert ask(rig, "/readyz").status == 200
    assert rig.stored()["admin_url"].startswith("http://127.0.0.1:")
    rig.down()


def test_a_port_in_use_is_refused_before_anything_starts(rig: Rig) -> None:
    with taken_port() as number:
        ran = rig.run("up", rig.profile(ports={"admin": number}), "--json")
        assert (ran.rc, rig.errors(ran)) == (3, ["port-taken"])
        assert str(number) in ran.json["errors"][0]["message"]
        doctor = rig.run("doctor", rig.profile(ports={"admin": number}), "--json")
        finding = findings(doctor)["ports"]
        assert (finding["status"], str(number) in finding["evidence"]) == ("FAIL", True)


def test_two_instances_never_share_one(rig: Rig) -> None:
    rig.up()
    number = rig.stored()["ports"]["admin"]
    for name in ("admin", "api"):
        ran = rig.run("up", rig.profile("two", ports={name: number}), "--json")
        assert (ran.rc, rig.errors(ran)) == (3, ["port-leased"])
    rig.down()


def test_an_address_that_is_not_of_this_machine_is_refused(rig: Rig) -> None:
    ran = rig.run("up", rig.profile(admin_host="192.0.2.7"), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["host-not-local"])
    assert ran.json["errors"][0]["where"] == "admin-host"


def test_the_profile_can_open_it_and_the_doctor_tells(rig: Rig) -> None:
    number = free_port()
    keys: JsonDict = {"admin_host": "0.0.0.0", "ports": {"admin": number}}
    doctor = rig.run("doctor", rig.profile(**keys), "--json")
    finding = findings(doctor)["exposed-admin"]
    assert (finding["status"], str(number) in finding["remedy"]) == ("WARN", True)
    rig.up(**keys)
    assert rig.stored()["admin_url"] == f"http://127.0.0.1:{number}"
    with socket.create_connection(("127.0.0.2", number), timeout=600) as client:
        client.sendall(b"GET /readyz HTTP/1.1\r\nHost: gpu7.example\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    rig.down()


def test_after_a_lost_keeper_nothing_listens_and_the_engine_holds_nothing_of_it(rig: Rig) -> None:
    rig.up()
    number = rig.stored()["ports"]["admin"]
    rig.lose()
    # A killed process is a zombie a moment before the kernel has closed its sockets.
    wait_for(lambda: is_free(number), "the port, with the engine still there")
    assert rig.run("probe", "one", "--live").rc == 3
    rig.down()


SCRIPT = """
import json, os, sys
from pathlib import Path
from launcher.keeper.keeper import Keeper
from launcher.plan.model import LaunchPlan, PortUse

folder = Path(sys.argv[1])
lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
plan = LaunchPlan(
    instance="one", engine="scripted", release="1", argv=("/bin/true",), cwd="/",
    log_folder=str(folder), temporary_folder=str(folder / "temporary"),
    ports=tuple(PortUse(*use) for use in json.loads(sys.argv[2])),
)
sys.exit(Keeper(folder, plan, "one:token", {}, environ=dict(os.environ), lock=lock).run())
"""


def run_keeper(folder: Path, *ports: tuple[str, int, str]) -> list[JsonDict]:
    """The states that a keeper of this very plan tells."""
    (folder / "logs").mkdir(parents=True)
    arguments = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(ports)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(arguments, env=env, capture_output=True, timeout=600, check=False)
    return [dict(e) for e in read_events(folder) if e["event"] == "state"]


def test_a_port_that_was_taken_since_it_was_leased_starts_no_engine(tmp_path: Path) -> None:
    api = ("api", free_port(), "127.0.0.1")
    with taken_port() as number:
        states = run_keeper(tmp_path / "one", api, ("admin", number, "127.0.0.1"))
    assert [state["state"] for state in states] == ["starting", "stopping", "failed"]
    assert (states[-1]["error"]["code"], states[-1]["exit_code"]) == ("port-taken", 3)
    assert str(number) in states[-1]["error"]["message"]


def test_a_plan_of_before_there_was_an_endpoint_still_runs(tmp_path: Path) -> None:
    states = run_keeper(tmp_path / "one", ("api", free_port(), "127.0.0.1"))
    assert [state["state"] for state in states] == ["starting", "loading", "stopping", "failed"]


@pytest.mark.parametrize(
    ("use", "url"),
    [
        (None, ""),
        (PortUse("admin", 9180, "127.0.0.1"), "http://127.0.0.1:9180"),
        (PortUse("admin", 9180, "0.0.0.0"), "http://127.0.0.1:9180"),
        (PortUse("admin", 9180, "::"), "http://[::1]:9180"),
        (PortUse("admin", 9180, "10.0.0.7"), "http://10.0.0.7:9180"),
        (PortUse("admin", 0, "", bound=False, socket="/x/admin.sock"), "unix:/x/admin.sock"),
    ],
)
def test_the_address_is_one_that_this_machine_reaches(use: PortUse | None, url: str) -> None:
    ports = (PortUse("api", 8180, "0.0.0.0"), *([use] if use else []))
    plan = LaunchPlan("one", "x", "1", ("/bin/x",), "/", "/l", "/t", ports=ports)
    assert admin_address(plan) == url
