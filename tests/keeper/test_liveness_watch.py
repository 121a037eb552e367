"""A ready server under its keeper's eyes: verdicts, canaries, and the end of a server that hangs.

Times are shortened; `STEADY` has deadlines that a server keeps on a busy machine, `QUICK` has those
within which a server that hangs must be seen.
"""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from launcher.keeper.events import read_events
from launcher.keeper.liveness_watch import LivenessWatch
from launcher.keeper.loop import Loop
from launcher.keeper.record import Record
from launcher.keeper.tree import Tree
from launcher.liveness.judge import Liveness
from launcher.liveness.policy import LivenessPolicy
from launcher.plan.model import LaunchPlan, PortUse
from tests.support.decoded import JsonDict
from tests.support.rig import Rig
from tests.support.waiting import wait_for

QUICK = {
    "interval": 0.5, "stall-after": 3, "compute-stall-after": 60, "canary-interval": 1,
    "canary-deadline": 1,
}  # fmt: skip
ONCE = {"max-restarts": 0}
STEADY = {**QUICK, "stall-after": 60, "compute-stall-after": 600, "canary-deadline": 60}


def verdicts(rig: Rig) -> list[str]:
    """The verdicts that the events tell of, in their order."""
    events = read_events(rig.instance())
    return [str(event["verdict"]) for event in events if event["event"] == "liveness"]


def count_of(stamp: str, path: str) -> int:
    """How often the server was asked for `path`."""
    try:
        return Path(stamp).read_text().count(f" asked {path}\n")
    except FileNotFoundError:
        return 0


def row(rig: Rig) -> JsonDict:
    """What `status --json` says."""
    status_row: JsonDict = rig.run("status", "one", "--json").json["data"]["instances"][0]
    return status_row


def test_a_death_that_was_learnt_in_another_way_is_beyond_doubt(tmp_path: Path) -> None:
    loop = Loop()
    plan = LaunchPlan(
        "one", "scripted", "1.0", ("/bin/x",), "/", "/nowhere", "/nowhere",
        ports=(PortUse("api", 1, "127.0.0.1"),),
    )  # fmt: skip
    record = Record(tmp_path, plan, "one:abc", Tree(loop, lambda process: None), ())
    stalls: list[object] = []
    watch = LivenessWatch(
        loop, plan, LivenessPolicy(), record, {}, tmp_path, stalls.append, lambda: None
    )
    watch.died("it was killed")
    watch.close()
    verdict = record.state.liveness
    assert verdict is not None
    assert (verdict.verdict, verdict.reasons) == (Liveness.DEAD, ("it was killed",))
    assert not verdict.doubtful
    assert watch.fails
    assert stalls == []


def test_an_idle_server_is_idle_and_is_asked_for_completions(rig: Rig) -> None:
    stamp = rig.path("stamp")
    rig.up(script={"stamp": stamp}, liveness=STEADY)
    wait_for(lambda: count_of(stamp, "/v1/chat/completions") >= 4, "canaries")
    assert verdicts(rig) == ["idle"]
    status = row(rig)
    assert (status["healthy"], status["liveness"]["verdict"]) == (True, "idle")
    assert status["liveness"]["reasons"] == ["it answers"]
    assert status["ready_at"] <= status["liveness"]["since"] <= time.time()
    text = rig.run("status", "one").stdout
    assert "  liveness     idle for " in text
    assert ": it answers" in text
    rig.down()
    assert rig.stored()["liveness"]["verdict"] == "idle", "the last word of the run"


def test_canaries_carry_the_key_and_can_be_switched_off(rig: Rig) -> None:
    stamp = rig.path("stamp")
    rig.env["KEY"] = "s3cr3t-s3cr3t"
    script = {"key": "s3cr3t-s3cr3t", "stamp": stamp}
    rig.up(script=script, api_key="env:KEY", liveness=STEADY)
    wait_for(lambda: count_of(stamp, "/v1/chat/completions") >= 3, "canaries")
    assert verdicts(rig) == ["idle"]
    rig.down()

    Path(stamp).unlink()
    rig.up(script=script, api_key="env:KEY", liveness={**STEADY, "canary": False})
    wait_for(lambda: count_of(stamp, "/health") >= 12, "samples")
    assert count_of(stamp, "/v1/chat/completions") == 1, "the readiness probe's"
    rig.down()


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        ('{"completion": "hang"}', "2 short completions failed: no answer within 1 s"),
        ('{"completion": "empty"}', "2 short completions failed: a completion came back without"),
        ('{"completion": "hang", "health": "hang"}', "GET /health timed out after 0.5 s"),
        ('{"completion": "500", "health": 500}', "GET /health answered 500"),
    ],
    ids=["wedged", "empty", "hangs", "500"],
)
def test_a_server_that_does_not_work_any_more_is_ended(rig: Rig, later: str, reason: str) -> None:
    """Its processes live, and it may even say that it is healthy."""
    path = rig.path("later.json")
    rig.up(script={"later": path}, liveness=QUICK, stop={"grace": 5}, restart=ONCE)
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    Path(path).write_text(later)
    state = rig.wait_for_state("died")
    assert (state["error"]["code"], state["exit_code"]) == ("engine-stalled", 6)
    assert reason in state["error"]["message"]
    assert state["liveness"]["verdict"] == "stalled"
    assert verdicts(rig)[-1] == "stalled"
    events = list(read_events(rig.instance()))
    kinds = [event["event"] for event in events]
    assert kinds.index("failure") > max(i for i, kind in enumerate(kinds) if kind == "liveness")
    rig.nothing_left()
    rig.down()


def test_a_server_that_waits_for_its_compiler_is_left_alone(rig: Rig) -> None:
    """No completion of ours is answered meanwhile; to start it again would compile anew."""
    path, done, stamp = rig.path("later.json"), rig.path("compiled"), rig.path("stamp")
    # The limit for an engine that computes is so high that a busy machine does not reach it.
    patient = {**QUICK, "compute-stall-after": 600}
    rig.up(script={"later": path, "stamp": stamp}, liveness=patient, restart=ONCE)
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    before = count_of(stamp, "/v1/chat/completions")
    Path(path).write_text(json.dumps({"completion": f"compile:{done}"}))
    wait_for(lambda: count_of(stamp, "/v1/chat/completions") > before + 3, "three that failed")
    wait_for(lambda: "it has started since" in json.dumps(rig.stored()["liveness"]), "the reason")
    Path(done).touch()
    wait_for(lambda: verdicts(rig) == ["idle", "busy", "idle"], "its return")
    rig.down()


def test_a_first_process_that_was_stopped_is_a_stall(rig: Rig) -> None:
    liveness = {**STEADY, "stall-after": 6, "canary-deadline": 6}
    rig.up(liveness=liveness, stop={"grace": 1}, restart=ONCE)
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    os.kill(rig.engine(), signal.SIGSTOP)
    state = rig.wait_for_state("died")
    assert state["error"]["code"] == "engine-stalled"
    assert "stopped by a signal: " in state["error"]["message"]
    rig.nothing_left()
    rig.down()


def test_a_keeper_that_did_not_run_does_not_blame_the_engine(rig: Rig) -> None:
    """As in a suspended machine: what it knew before is out of date."""
    stamp = rig.path("stamp")
    rig.up(script={"stamp": stamp}, liveness={**QUICK, "canary-deadline": 3})
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    with rig.paused_keeper():
        time.sleep(8)
    before = count_of(stamp, "/v1/chat/completions")
    wait_for(lambda: count_of(stamp, "/v1/chat/completions") >= before + 3, "canaries again")
    assert "stalled" not in verdicts(rig)
    assert rig.stored()["state"] == "ready"
    rig.down()


def test_a_death_is_a_verdict_too(rig: Rig) -> None:
    rig.up(liveness=STEADY, restart=ONCE)
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    rig.kill(rig.engine())
    rig.wait_for_state("died")
    assert verdicts(rig) == ["idle", "dead"]
    rig.down()


def test_the_next_run_begins_without_a_verdict(rig: Rig) -> None:
    rig.up(liveness=STEADY, restart={"first-delay": 0})
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    rig.kill(rig.engine())
    wait_for(lambda: verdicts(rig) == ["idle", "dead", "idle"], "the verdict on the next run")
    rig.down()


def test_a_stalled_server_is_started_again(rig: Rig) -> None:
    path = rig.path("later.json")
    script = {"later": path, "before": [{"print": "PHASE import"}]}
    rig.up(script=script, liveness=QUICK, stop={"grace": 5}, restart={"first-delay": 0})
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    Path(path).write_text('{"completion": "hang"}')
    wait_for(lambda: "stalled" in verdicts(rig), "the stall")
    Path(path).unlink()
    wait_for(lambda: verdicts(rig)[-1:] == ["idle"] and rig.stored()["restarts"] == 1, "a new run")
    rig.down()


@pytest.mark.parametrize("restart", [{"policy": "never"}, {"on-stall": "report"}])
def test_a_stall_can_be_only_reported(rig: Rig, restart: JsonDict) -> None:
    path = rig.path("later.json")
    rig.up(script={"later": path}, liveness=QUICK, restart=restart)
    wait_for(lambda: verdicts(rig) == ["idle"], "the first verdict")
    Path(path).write_text('{"completion": "hang"}')
    wait_for(lambda: verdicts(rig)[-1:] == ["stalled"], "the stall")
    status = rig.run("status", "one")
    assert status.rc == 1
    assert status.stdout.startswith("one is unhealthy: stalled for ")
    Path(path).write_text('{"completion": "ok"}')
    wait_for(lambda: verdicts(rig)[-1:] == ["idle"], "its return")
    assert rig.run("status", "one").rc == 0
    rig.down()
