"""The keeper's own restarts, as an operator sees them: what is tried again, when, and what not."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from launcher.keeper.events import read_events
from tests.support.as_json import as_json
from tests.support.decoded import JsonDict
from tests.support.rig import Rig
from tests.support.waiting import wait_for

AT_ONCE: JsonDict = {"max-restarts": 2, "first-delay": 0}
LATER: JsonDict = {"max-restarts": 3, "first-delay": 600, "max-delay": 600}


def events(rig: Rig, kind: str) -> list[JsonDict]:
    return [e for e in as_json(read_events(rig.instance())) if e["event"] == kind]


def test_the_default_starts_a_dead_engine_again(rig: Rig) -> None:
    rig.up()
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 1, "the restart")
    rig.wait_for_state("ready")
    (reported,) = events(rig, "restart")
    assert (reported["number"], reported["limit"], reported["window"], reported["total"]) == (
        1,
        5,
        600,
        1,
    )
    assert 0.8 <= reported["delay"] <= 1.2
    assert reported["cause"] == "engine-died"
    assert "was killed by SIGKILL" in reported["message"]
    assert "restarts     1" in rig.run("status", "one").stdout
    states = [event["state"] for event in events(rig, "state")]
    assert not {"died", "failed"} & set(states), "nothing is final yet"
    rig.down()


def test_the_wait_is_told(rig: Rig) -> None:
    rig.up(restart=LATER)
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored().get("restart"), "the wait")
    ran = rig.run("status", "one", "--json")
    (row,) = ran.json["data"]["instances"]
    assert (ran.rc, row["state"]) == (1, "starting")
    restart = row["restart"]
    assert (restart["number"], restart["limit"], restart["window"]) == (1, 3, 600)
    assert restart["at"] - time.time() < 720
    assert restart["code"] == "engine-died"
    assert row["message"].startswith("one is restarting in ")
    assert " s, number 1 of 3 in 10 min: the engine was ready and was killed" in row["message"]
    assert rig.run("status", "one").stdout.startswith("one is restarting in ")
    rig.down()
    assert rig.stored()["restart"] is None


@pytest.mark.parametrize("policy", ["never", "on-failure", "always"])
def test_a_cause_that_a_start_cannot_change(rig: Rig, policy: str) -> None:
    """Only `always` tries again: who chose it knows that something else repairs the cause."""
    die = rig.path("die")
    script = {"after": [{"wait": die}, {"print": "BROKEN the disk"}, {"exit": 3}]}
    rig.up(script=script, restart={**AT_ONCE, "policy": policy})
    Path(die).touch()
    if policy == "always":
        state = rig.wait_for_state("failed")
        assert state["restarts"] == 2
        assert state["error"]["message"].endswith("given up after 2 restarts within 10 min")
    else:
        state = rig.wait_for_state("died")
        assert (state["restarts"], state["exit_code"]) == (0, 6)
        reported = "; not restarted: another start cannot help"
        assert state["error"]["message"].endswith(reported) == (policy == "on-failure")
    assert state["error"]["code"] == "ED-FAKE-BROKEN"
    assert state["error"]["remedy"] == "repair it"
    rig.nothing_left()


def test_a_first_start_that_fails_is_the_answer_of_up(rig: Rig) -> None:
    ran = rig.run("up", rig.profile(script={"before": [{"exit": 3}]}, restart=AT_ONCE), "--json")
    assert (ran.rc, rig.errors(ran)) == (4, ["engine-exited"])
    assert rig.stored()["restarts"] == 0


def test_a_restart_that_fails_while_it_loads_counts_and_is_tried_again(rig: Rig) -> None:
    """Two fail, the third is ready: each of them is one of the budget."""
    fails = rig.path("fails")
    script = {"before": [{"count-down": fails}]}
    rig.up(script=script, restart={"max-restarts": 3, "first-delay": 0})
    Path(fails).write_text("2")
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 3, "the third restart")
    state = rig.wait_for_state("ready")
    assert [event["number"] for event in events(rig, "restart")] == [1, 2, 3]
    assert [event["cause"] for event in events(rig, "restart")][1:] == ["engine-exited"] * 2
    Path(fails).write_text("9")
    os.kill(state["engine"]["pid"], signal.SIGKILL)
    state = rig.wait_for_state("failed")
    assert state["restarts"] == 3
    assert "given up after 3 restarts" in state["error"]["message"]
    assert state["exit_code"] == 6
    assert rig.run("status", "one").rc == 1
    rig.nothing_left()


def test_a_port_that_is_taken_during_the_wait_is_waited_for(rig: Rig, free_port: int) -> None:
    rig.up(ports={"api": free_port}, restart={"first-delay": "2s", "max-delay": "2s"})
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored().get("restart"), "the wait")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", free_port))
        stranger.listen()
        wait_for(lambda: (rig.stored().get("restart") or {}).get("waiting"), "to be told")
        message = rig.run("status", "one", "--json").json["data"]["instances"][0]["message"]
        assert f"(waiting for port {free_port} (api))" in message
    rig.wait_for_state("ready")
    rig.down()


def test_the_plan_holds_the_policy(rig: Rig) -> None:
    ran = rig.run("plan", rig.profile(restart={"policy": "always", "window": "2m"}), "--json")
    plan = json.loads(ran.stdout)["data"]["plan"]
    assert plan["restart"]["policy"] == "always"
    assert plan["restart"]["window"] == 120
    assert "restart_policy" not in plan
