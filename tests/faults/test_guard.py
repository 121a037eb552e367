"""`kill -9` of the keeper: its guard ends the engine, without a verb, and touches nothing else."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.diagnose import log_lengths
from launcher.keeper import guard
from tests.support import processes
from tests.support.decoded import JsonDict
from tests.support.processes import alive
from tests.support.rig import Rig
from tests.support.waiting import wait_for

SLACK = 20.0
"""Seconds that a busy machine may take beside what the guard promises."""
DAEMONS = [
    {"spawn": {"session": True, "double": True, "ignore": ["TERM", "HUP", "INT"]}},
    {"spawn": {"ignore": ["TERM", "INT"]}},
]
TOUGH: JsonDict = {"sigterm": "ignore", "before": DAEMONS}
"""Neither the end of its parent nor a polite signal ends any of these three."""


def kill_keeper(rig: Rig) -> None:
    """`kill -9`; every process of the instance, the guard included, ends as it is promised."""
    token, keeper = (rig.instance() / "token").read_text(), rig.keeper()
    recorded = [p["pid"] for p in rig.stored()["processes"]]
    rig.kill(keeper)
    gone_by_itself(token, recorded)


def gone_by_itself(token: str, recorded: list[int]) -> None:
    """No process with the token or of these is left after the time that is promised."""
    wait_for(
        lambda: not processes.with_token(token) and not any(map(alive, recorded)),
        "the end of everything",
        deadline=guard.LONGEST + SLACK,
    )


@pytest.mark.parametrize("phase", ["loading", "ready"])
def test_nothing_lives_after_the_keeper_was_killed(rig: Rig, phase: str) -> None:
    script = TOUGH if phase == "ready" else {**TOUGH, "health": 503}
    up = rig.spawn("up", rig.profile(script=script, stop={"grace": 1}), "--json")
    rig.wait_for_state(phase)
    wait_for(lambda: len(rig.stored()["processes"]) == 3 or None, "all three in the state")
    kill_keeper(rig)
    up.communicate(timeout=600)
    status = rig.run("status", "one", "--json")
    assert (status.rc, status.json["data"]["instances"][0]["state"]) == (1, "lost")
    assert "its guard ended" in (rig.instance() / "logs" / "keeper.log").read_text()
    assert rig.down().json["data"]["previous_state"] == "lost"


def test_nothing_lives_whenever_the_keeper_was_killed(rig: Rig) -> None:
    """From the first moment on in which there is a keeper."""
    profile = rig.profile(script={**TOUGH, "health": 503})
    for wait in (lambda: rig.stored(), lambda: rig.stored().get("engine"),
                 lambda: rig.stored().get("phase")):  # fmt: skip
        up = rig.spawn("up", profile, "--json")
        wait_for(lambda: rig.stored().get("state") in ("starting", "loading"), "the start")
        wait_for(wait, "the moment")
        kill_keeper(rig)
        up.communicate(timeout=600)
        rig.down()


def test_a_keeper_in_the_foreground_is_guarded(rig: Rig) -> None:
    """There the keeper is the process that systemd or a container started."""
    profile = rig.profile(script=TOUGH, stop={"grace": 1})
    up = rig.spawn("up", profile, "--foreground")
    rig.wait_for_state("ready")
    assert rig.keeper() == up.pid
    token = (rig.instance() / "token").read_text()
    recorded = [p["pid"] for p in rig.stored()["processes"]]
    up.kill()
    up.communicate(timeout=600)
    gone_by_itself(token, recorded)
    rig.down()


def test_who_kills_keepers_by_their_command_line_does_not_hit_guards(rig: Rig) -> None:
    rig.up()
    line, keeper = processes.command(rig.guard() or 0), processes.command(rig.keeper())
    for pattern in (rb"launcher.keeper", rb"-m launcher", rb"keeper"):
        assert re.search(pattern, keeper.replace(b"\0", b" "))
        assert not re.search(pattern, line.replace(b"\0", b" ")), line
    rig.down()


def test_a_keeper_killed_while_it_stops_its_engine(rig: Rig) -> None:
    """Only the guard finishes what it began: the `down` that asked is killed first."""
    rig.up(script=TOUGH, stop={"grace": 60})
    down = rig.spawn("down", "one")
    rig.wait_for_state("stopping")
    down.kill()
    down.communicate(timeout=600)
    kill_keeper(rig)
    rig.down()


def test_a_ready_engine_may_end_by_itself(rig: Rig) -> None:
    """The kernel sends SIGTERM; the guard waits as long as the profile grants, within its bound."""
    done = rig.path("done")
    rig.up(script={"sigterm": "slow:1", "on-end": done}, stop={"grace": 10})
    engine = rig.engine()
    kill_keeper(rig)
    assert not alive(engine)
    log = rig.instance() / "logs" / "keeper.log"
    assert "its guard ended" not in log.read_text(), "nothing had to be killed"
    rig.down()


def test_a_stopped_engine_ends_as_well(rig: Rig) -> None:
    rig.up(stop={"grace": 1})
    os.kill(rig.engine(), signal.SIGSTOP)
    kill_keeper(rig)
    rig.down()


@pytest.mark.parametrize("harm", ["folder", "state", "garbage"])
def test_an_instance_without_its_files_ends_as_well(rig: Rig, harm: str) -> None:
    """What the guard has itself, the token, proves enough."""
    rig.up(script=TOUGH, stop={"grace": 1})
    keeper, temporary = rig.keeper(), rig.stored(file="plan.json")["temporary_folder"]
    token = (rig.instance() / "token").read_text()
    recorded = [p["pid"] for p in rig.stored()["processes"]]
    if harm == "folder":
        shutil.rmtree(rig.instance())
    elif harm == "state":
        (rig.instance() / "state.json").unlink()
    else:
        (rig.instance() / "state.json").write_text('{"schema": "ernie-deploy/state/1", "token": 5')
    rig.kill(keeper)
    gone_by_itself(token, recorded)
    shutil.rmtree(temporary, ignore_errors=True)


def test_a_guard_that_was_killed_is_replaced(rig: Rig) -> None:
    rig.up(script=TOUGH, stop={"grace": 1})
    first = rig.guard()
    assert first is not None
    rig.kill(first)
    wait_for(lambda: rig.guard() not in (None, first), "another guard")
    assert rig.run("status", "one").rc == 0
    kill_keeper(rig)
    rig.down()


def test_a_guard_is_no_part_of_the_engine_and_goes_with_it(rig: Rig) -> None:
    rig.up()
    pid = rig.guard()
    assert pid is not None
    assert [p["pid"] for p in rig.stored()["processes"]] == [rig.engine()]
    for name in ("TERM", "INT", "HUP"):
        os.kill(pid, getattr(signal, f"SIG{name}"))
    rig.down()
    assert not alive(pid)


def test_a_restarted_engine_is_guarded(rig: Rig) -> None:
    restart = {"policy": "on-failure", "max-restarts": 3, "first-delay": 0}
    rig.up(script=TOUGH, restart=restart, stop={"grace": 1})
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 1 and rig.stored()["state"] == "ready", "again")
    kill_keeper(rig)
    rig.down()


def test_the_next_instance_of_the_same_name_is_not_touched(rig: Rig) -> None:
    """`up` may be faster than the guard: what runs then has another token."""
    rig.up(script=TOUGH, stop={"grace": 20})
    old = rig.guard()
    assert old is not None
    os.kill(old, signal.SIGSTOP)
    rig.kill(rig.keeper())
    rig.up()
    wait_for(lambda: not alive(old), "the end of the old guard, which `up` cleaned away")
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_a_strangers_process_is_not_touched(rig: Rig) -> None:
    """It is in the state under its number, but it is another one."""
    argv = [sys.executable, "-I", "-S", "-c", "input()"]
    stranger = subprocess.Popen(argv, stdin=subprocess.PIPE, env={})
    try:
        rig.up(script=TOUGH, stop={"grace": 1})
        keeper = rig.keeper()
        os.kill(keeper, signal.SIGSTOP)  # it would write its state anew
        state = rig.instance() / "state.json"
        pid, token = rig.engine(), (rig.instance() / "token").read_text()
        state.write_text(state.read_text().replace(f'"pid": {pid},', f'"pid": {stranger.pid},'))
        rig.kill(keeper)
        gone_by_itself(token, [pid])
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")
    rig.down()


def test_a_guard_is_small(rig: Rig) -> None:
    """It lives as long as its server; most of it is the interpreter's file, shared by all."""
    rig.up()
    pid = rig.guard()
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {w[0]: int(w[1]) for line in text.splitlines()[1:] if (w := line.split())[1].isdigit()}
    own = sizes["Private_Clean:"] + sizes["Private_Dirty:"]
    assert own < 6 * 1024, sizes
    rig.down()


@pytest.mark.parametrize("who", ["guard", "down"])
def test_what_an_engine_writes_while_it_is_ended_is_no_cause(rig: Rig, who: str) -> None:
    """The kernel's SIGTERM, the guard's and `down`'s signals are ours as well as the keeper's."""
    own = rig.instance() / "logs" / "engine" / "own.log"
    before = [*DAEMONS, {"log": [str(own), "INFO loading"]}]
    rig.up(script={**TOUGH, "before": before}, stop={"grace": 1})
    if who == "guard":
        kill_keeper(rig)
    else:
        rig.lose()
        rig.down()
    with own.open("a") as log:
        log.write("ValueError: the cause: its queue is gone\n")
    data = rig.run("diagnose", "one", "--json").json["data"]
    assert (data["rule"], data["alternatives"], data["first_errors"]) == (None, [], [])
    recorded = log_lengths.read(rig.instance() / "logs")
    assert recorded is not None
    assert recorded.lengths[str(own.stat().st_ino)] == len("INFO loading\n")
    if who == "guard":
        rig.down()
    assert rig.stored()["log_lengths"] == recorded.lengths


def test_shared_memory_of_a_killed_keeper_is_removed_without_a_verb(rig: Rig) -> None:
    name = f"ernie-deploy-test-{os.getpid()}"
    segment = Path("/dev/shm", name)
    script = {**TOUGH, "before": [*DAEMONS, {"shm": name}]}
    rig.up(script=script, args={"shm": [name]}, stop={"grace": 1})
    wait_for(lambda: rig.stored()["shm"], "the claim")
    kill_keeper(rig)
    wait_for(lambda: not segment.exists(), "the end of the segment")
    rig.down()
