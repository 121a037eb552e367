"""One run of an engine, with whole instances: it is proved before it is called ready."""

import os
import signal
from pathlib import Path

import pytest

from launcher.keeper.events import read_events
from tests.support.decoded import JsonDict
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for


def test_an_engine_is_ready_after_the_last_rung_and_outlives_its_up(rig: Rig) -> None:
    rig.up()
    rig.down()
    events = read_events(rig.instance())
    steps = [
        str(event["name"] if event["event"] == "probe" else event["state"])
        for event in events
        if event["event"] in ("probe", "state")
    ]
    assert steps[:3] == ["starting", "loading", "listening"]
    assert steps[-4:] == ["completion", "ready", "stopping", "stopped"]
    (stop,) = [event["reason"] for event in events if event["event"] == "stop"]
    assert stop == "down", "and not the end of `up`"


def test_the_end_of_a_vital_process_is_told_with_its_signal(rig: Rig) -> None:
    pid = Path(rig.path("worker"))
    script = {"before": [{"spawn": {"session": True, "pid": str(pid)}}]}
    rig.up(script=script, args={"vital": ["fake_server"]}, restart=NEVER)
    wait_for(lambda: len(rig.stored()["processes"]) == 2, "the worker in the state")
    os.kill(int(pid.read_text()), signal.SIGKILL)
    error = rig.wait_for_state("died")["error"]
    assert error["code"] == "worker-died"
    assert "was killed by SIGKILL" in error["message"]
    rig.nothing_left()


@pytest.mark.parametrize(
    ("says", "number", "code", "message"),
    [
        (True, None, "external-signal", "told to stop by SIGTERM, which ernie-deploy did not send"),
        (False, signal.SIGQUIT, "engine-died", "killed by SIGQUIT, which ernie-deploy did not"),
    ],
)
def test_a_worker_that_dies_by_a_strangers_signal_to_all_is_not_the_cause(
    rig: Rig, says: bool, number: signal.Signals | None, code: str, message: str
) -> None:
    """The worker's death is the first to be learnt, and the keeper has sent nothing yet."""
    pid, order, done = (Path(rig.path(name)) for name in ("worker", "asked", "said"))
    script = {
        "before": [{"spawn": {"session": True, "pid": str(pid)}}],
        "after": [{"wait": str(order)}, {"print": "ASKED TO STOP BY TERM"}, {"touch": str(done)}],
    }
    rig.up(script=script, args={"vital": ["fake_server"]}, restart=NEVER)
    wait_for(lambda: len(rig.stored()["processes"]) == 2, "the worker in the state")
    with rig.paused_keeper():
        rig.kill(int(pid.read_text()))
        if says:
            order.touch()
            wait_for(done.exists, "the engine's line about the signal")
        if number is not None:
            os.kill(rig.engine(), number)
    error = rig.wait_for_state("died")["error"]
    assert (error["code"], message in error["message"]) == (code, True), error
    rig.nothing_left()


STAYS: JsonDict = {"sigterm": "ignore"}
LONG: JsonDict = {"drain": 3000, "grace": 0.2}
"""An engine that does not go by itself, and has all afternoon for it."""


def test_a_shorter_drain_replaces_that_of_the_profile(rig: Rig) -> None:
    rig.up(script=STAYS, stop=LONG)
    ran = rig.run("down", "one", "--drain", "0", "--json")
    assert ran.rc == 0, ran.output()
    rig.nothing_left()


def test_another_down_with_a_shorter_drain_ends_one_that_is_under_way(rig: Rig) -> None:
    rig.up(script=STAYS, stop=LONG)
    with rig.spawn("down", "one", "--json") as first:
        wait_for(lambda: "signal" in kinds(rig), "the engine's SIGTERM")
        longer = rig.spawn("down", "one", "--drain", "5000", "--json")
        ran = rig.run("down", "one", "--drain", "0", "--json")
        assert (ran.rc, longer.wait(600), first.wait(600)) == (0, 0, 0), ran.output()
    stops = [event for event in read_events(rig.instance()) if event["event"] == "stop"]
    assert [event.get("drain") for event in stops] == [None, 0]
    rig.nothing_left()


def kinds(rig: Rig) -> list[object]:
    return [event["event"] for event in read_events(rig.instance())]
