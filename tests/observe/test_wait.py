"""`wait`: told when it is so, and at once where it never will be."""

import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.codec import encode
from launcher.errors import ExitCode
from launcher.instance.store import InstanceDir
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.identity import look, this_host
from launcher.keeper.state import EndError, LivenessRecord, State, write_state
from launcher.lifecycle import COMING, FINAL, InstanceState
from launcher.liveness.judge import Liveness
from launcher.observe.wait import Goal, Snapshot, Waited, decide, wait
from launcher.result import Result
from tests.support.cli import Ran
from tests.support.rig import Rig

READY = InstanceState.READY


def stored(state: InstanceState, **fields: object) -> State:
    return State("one", "t", state=state, **fields)  # type: ignore[arg-type]


def code(goal: Goal, snapshot: Snapshot, *, may_come: bool = False) -> int | None:
    decision = decide("one", goal, snapshot, may_come=may_come)
    return None if decision is None else int(decision.exit_code)


def judged(verdict: Liveness) -> Snapshot:
    return Snapshot(READY, stored(READY, liveness=LivenessRecord(verdict, 1.0)))


@pytest.mark.parametrize(
    ("verdict", "ready", "idle"),
    [
        (Liveness.IDLE, 0, 0), (Liveness.BUSY, 0, None), (Liveness.STALLED, None, None),
        (Liveness.PAUSED, None, None), (Liveness.DEAD, None, None),
    ],
)  # fmt: skip
def test_a_ready_instance_by_its_verdict(
    verdict: Liveness, ready: int | None, idle: int | None
) -> None:
    assert code(Goal.READY, judged(verdict)) == ready
    assert code(Goal.IDLE, judged(verdict)) == idle
    assert code(Goal.STOPPED, judged(verdict)) is None


def test_before_the_first_verdict() -> None:
    snapshot = Snapshot(READY, stored(READY))
    assert code(Goal.READY, snapshot) == 0
    assert code(Goal.IDLE, snapshot) is None
    assert code(Goal.IDLE, replace(snapshot, has_verdicts=False)) == 3


@pytest.mark.parametrize("goal", [Goal.READY, Goal.IDLE])
def test_what_ended_never_gets_ready(goal: Goal) -> None:
    error = EndError("gpu-out-of-memory", "no room", None, "smaller")
    failed = Snapshot(InstanceState.FAILED, stored(InstanceState.FAILED, error=error, exit_code=4))
    decision = decide("one", goal, failed, may_come=True)
    assert decision is not None
    assert decision.problem is not None
    assert (decision.exit_code, decision.problem.code) == (4, "gpu-out-of-memory")
    assert decision.problem.message == "one has failed: no room"
    died = stored(InstanceState.DIED, exit_code=6)
    assert code(goal, Snapshot(InstanceState.DIED, died)) == 6
    newer = stored(InstanceState.FAILED, exit_code=99)
    assert code(goal, Snapshot(InstanceState.FAILED, newer)) == 4, "a code of a newer keeper"
    for state in FINAL:
        assert code(goal, Snapshot(state, stored(state), is_kept=True)) is None, (
            "it may start again"
        )


@pytest.mark.parametrize("state", [InstanceState.STOPPED, InstanceState.ABSENT])
def test_what_is_not_started_may_be_started_by_another_command(state: InstanceState) -> None:
    assert code(Goal.READY, Snapshot(state), may_come=True) is None
    assert code(Goal.READY, Snapshot(state)) == ExitCode.NEGATIVE
    assert code(Goal.STOPPED, Snapshot(state)) == 0


@pytest.mark.parametrize("goal", list(Goal))
def test_what_cannot_be_used_ends_every_wait(goal: Goal) -> None:
    lost = stored(READY, ready_at=1.0)
    assert code(goal, Snapshot(InstanceState.LOST, lost, "killed"), may_come=True) == 6
    assert code(goal, Snapshot(InstanceState.LOST, stored(READY), "killed")) == 4
    assert code(goal, Snapshot(InstanceState.FOREIGN, None, "elsewhere")) == 3
    assert code(goal, Snapshot(InstanceState.DAMAGED, None, "not JSON")) == 3


@pytest.mark.parametrize("state", [*COMING, InstanceState.STOPPING, InstanceState.UNKNOWN])
def test_what_is_on_its_way_is_waited_for(state: InstanceState) -> None:
    for goal in Goal:
        assert code(goal, Snapshot(state, stored(InstanceState.LOADING))) is None


def test_the_payload_names_its_goal_as_the_option_does() -> None:
    data = encode(Waited(Goal.READY, True, READY, 1.5))
    assert data == {"for": "ready", "reached": True, "state": "ready", "seconds": 1.5}


# -- with real keepers ------------------------------------------------------------------------


def finish(process: "subprocess.Popen[str]") -> Ran:
    output, errors = process.communicate(timeout=600)
    return Ran((), process.returncode, output, errors, 0.0)


def test_ready_is_told_when_it_is(rig: Rig) -> None:
    go = rig.path("go")
    up = rig.spawn("up", rig.profile(script={"before": [{"wait": go}]}), "--json")
    rig.wait_for_state("loading")
    waiting = rig.spawn("wait", "one", "--for", "ready", "--json")
    idle = rig.run("wait", "one", "--for", "ready", "--timeout", "0.3", "--json")
    assert (idle.rc, rig.errors(idle)) == (5, ["wait-timeout"])
    assert "one is not ready after 0.3 s: it is loading" in idle.json["errors"][0]["message"]
    Path(go).touch()
    ran = finish(waiting)
    assert (ran.rc, ran.json["data"]["state"]) == (0, "ready")
    assert ran.json["data"]["base_url"] == rig.stored()["base_url"]
    up.communicate(timeout=600)
    rig.down()


def test_a_start_that_fails_ends_it_with_the_cause(rig: Rig) -> None:
    go = rig.path("go")
    script = {"before": [{"wait": go}, {"error": "RuntimeError: no room"}, {"exit": 1}]}
    up = rig.spawn("up", rig.profile(script=script), "--json")
    rig.wait_for_state("loading")
    waiting = rig.spawn("wait", "one", "--for", "ready", "--timeout", "10m", "--json")
    Path(go).touch()
    ran, started = finish(waiting), finish(up)
    assert ran.rc == started.rc == 4
    assert rig.errors(ran) == rig.errors(started)
    assert ran.json["errors"][0]["message"].startswith("one has failed: ")
    again = rig.run("wait", "one", "--for", "idle", "--timeout", "10m")
    assert again.rc == 4, "nothing starts it again"
    assert rig.run("wait", "one", "--for", "stopped").stdout.startswith("one has failed (waited ")


def test_a_death_ends_it(home: Path) -> None:
    """Of a stalled one: any other is ready already. This process stands in for its keeper."""
    instance = InstanceDir(home / "instances" / "one")
    instance.folder.mkdir(parents=True)
    here, me = this_host(), look(os.getpid())
    assert me is not None
    state = State(
        "one", "t", state=READY, machine=here.machine, boot=here.boot,
        pid_namespace=here.pid_namespace, keeper=ProcessClaim(me.pid, me.start), ready_at=1.0,
        liveness=LivenessRecord(Liveness.STALLED, time.time(), ("nothing moves",)),
    )  # fmt: skip
    write_state(instance.folder, state)
    hung = wait(instance, Goal.READY, 0.1)
    assert hung.exit_code is ExitCode.DEADLINE
    assert "it is ready and stalled" in hung.errors[0].message
    ended: list[Result[Waited]] = []
    waiting = threading.Thread(target=lambda: ended.append(wait(instance, Goal.READY, 600.0)))
    waiting.start()
    state.state, state.exit_code = InstanceState.DIED, 6
    state.error = EndError("engine-died", "killed by SIGKILL", None, "look")
    write_state(instance.folder, state)
    waiting.join(300)
    (result,) = ended
    assert (result.exit_code, result.errors[0].code) == (ExitCode.DIED, "engine-died")
    assert result.errors[0].message == "one has died: killed by SIGKILL"


@pytest.mark.parametrize("goal", ["ready", "stopped"])
def test_a_killed_keeper_ends_it_at_once(rig: Rig, goal: str) -> None:
    go = rig.path("go")
    up = rig.spawn("up", rig.profile(script={"before": [{"wait": go}]}), "--json")
    rig.wait_for_state("loading")
    waiting = rig.spawn("wait", "one", "--for", goal, "--timeout", "10m", "--json")
    assert rig.run("wait", "one", "--for", goal, "--timeout", "0.1").rc == 5
    rig.kill(rig.keeper())
    ran = finish(waiting)
    assert (ran.rc, rig.errors(ran)) == (4, ["keeper-lost"])
    up.communicate(timeout=600)
    rig.run("down", "one")


def test_stopped_is_told_when_it_is(rig: Rig) -> None:
    rig.up()
    waiting = rig.spawn("wait", "one", "--for", "stopped", "--json")
    rig.down()
    ran = finish(waiting)
    assert (ran.rc, ran.json["data"]["state"]) == (0, "stopped")
    ran = rig.run("wait", "one", "--for", "ready", "--json")
    assert (ran.rc, rig.errors(ran)) == (1, ["not-ready"])


def test_what_does_not_exist_is_waited_for_with_a_timeout_only(rig: Rig) -> None:
    ran = rig.run("wait", "one", "--for", "ready", "--json")
    assert (ran.rc, rig.errors(ran)) == (2, ["unknown-instance"])
    assert rig.run("wait", "one", "--for", "stopped").rc == 0, "nothing of it runs"
    ran = rig.run("wait", "one", "--for", "ready", "--timeout", "0.2", "--json")
    assert (ran.rc, rig.errors(ran)) == (5, ["wait-timeout"])
    waiting = rig.spawn("wait", "one", "--for", "ready", "--timeout", "10m", "--json")
    rig.up()
    assert finish(waiting).rc == 0
    rig.down()
    waiting = rig.spawn("wait", "one", "--for", "ready", "--timeout", "10m", "--json")
    rig.up()
    assert finish(waiting).rc == 0, "what is stopped may come as well"
    rig.down()


def test_a_keeper_that_hangs_does_not_hold_it_up(rig: Rig) -> None:
    rig.up()
    with rig.paused_keeper():
        began = time.monotonic()
        ran = rig.run("wait", "one", "--for", "stopped", "--timeout", "0.5")
        assert ran.rc == 5
        assert time.monotonic() - began < 60
    rig.down()


def test_an_interrupt_ends_it(rig: Rig) -> None:
    rig.up()
    waiting = rig.spawn("wait", "one", "--for", "stopped", "--json")
    assert rig.run("wait", "one", "--for", "stopped", "--timeout", "0.1").rc == 5
    waiting.send_signal(signal.SIGINT)
    assert finish(waiting).rc == 130
    rig.down()


def test_it_uses_no_processor_while_it_waits(home: Path) -> None:
    """Told, not asking again and again."""
    instance = InstanceDir(home / "instances" / "one")
    before = os.times()
    result = wait(instance, Goal.READY, 3.0)
    after = os.times()
    assert result.exit_code is ExitCode.DEADLINE
    assert after.user + after.system - before.user - before.system < 0.5


def test_nothing_is_left_open(home: Path) -> None:
    instance = InstanceDir(home / "instances" / "one")
    wait(instance, Goal.READY, 0.01)
    before = sorted(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    wait(instance, Goal.READY, 0.01)
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads
