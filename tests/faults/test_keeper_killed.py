"""`kill -9` of the keeper and its guard, damaged and foreign states, a reboot: what verbs say.

What the guard does by itself is in test_guard.py.
"""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.processes import alive
from tests.support.rig import Rig
from tests.support.waiting import wait_for

TOUGH = {
    "sigterm": "ignore",
    "before": [{"spawn": {"session": True, "double": True, "ignore": ["TERM", "HUP"]}}],
}
"""Neither the end of its parent nor a polite signal ends this one."""


def change(rig: Rig, **fields: object) -> None:
    """Write other values into the state, as another machine or a crash would have."""
    path = rig.instance() / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("phase", ["loading", "ready"])
def test_a_killed_keeper_is_seen_and_cleaned_up_by_down(rig: Rig, phase: str) -> None:
    script = dict(TOUGH) if phase == "ready" else {**TOUGH, "health": 503}
    process = rig.spawn("up", rig.profile(script=script), "--json")
    rig.wait_for_state(phase)
    wait_for(lambda: len(rig.stored()["processes"]) == 2 or None, "both processes in the state")
    rig.lose()
    stdout, _ = process.communicate(timeout=600)
    if phase == "loading":
        assert process.returncode == 4
        assert json.loads(stdout.splitlines()[-1])["errors"][0]["code"] == "keeper-lost"

    status = rig.run("status", "one", "--json")
    assert status.rc == 1, status.output()
    assert status.json["data"]["instances"][0]["state"] == "lost"
    assert "LOST" in rig.run("status", "one").stdout

    down = rig.down()

    assert down.json["data"]["previous_state"] == "lost"
    assert down.json["data"]["receipt"]["left"] == []
    assert rig.stored()["state"] == "stopped"
    again = rig.run("down", "one", "--json")
    assert (again.rc, again.json["data"]["previous_state"]) == (0, "stopped")


def test_an_engine_ends_with_its_killed_keeper(rig: Rig) -> None:
    rig.up()
    engine = rig.engine()
    rig.kill(rig.keeper())
    wait_for(lambda: not alive(engine), "the end of the engine")
    rig.down()


def test_up_after_a_killed_keeper_cleans_and_starts(rig: Rig) -> None:
    rig.up(script=TOUGH)
    old = rig.stored()["processes"]
    temporary = rig.stored(file="plan.json")["temporary_folder"]
    rig.lose()

    ran = rig.up(script=TOUGH, stop={"grace": 1})

    assert ran.events[0]["event"] == "cleaned"
    assert not any(alive(p["pid"]) for p in old)
    assert not Path(temporary).exists()
    rig.down()


def test_a_process_without_any_mark_is_found_by_its_recorded_session(rig: Rig) -> None:
    """setproctitle wipes the token from the environment; the session was recorded while alive."""
    bare = {"session": True, "bare": True, "ignore": ["TERM", "HUP"]}
    rig.up(script={"before": [{"spawn": bare}]})
    wait_for(lambda: len(rig.stored()["processes"]) == 2 or None, "the bare process in the state")
    child = next(p["pid"] for p in rig.stored()["processes"] if p["pid"] != rig.engine())
    assert b"ERNIE" not in Path(f"/proc/{child}/environ").read_bytes()
    rig.lose()
    assert alive(child)

    rig.down()

    assert not alive(child)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\x00\xff", '{"schema": "ernie-deploy/state/9"}',
             '{"schema": "ernie-deploy/state/1", "instance": "one", "token": 5}',
             '{"schema": "ernie-deploy/state/1", "instance": "one", "token": "t", "keeper": []}'],
)  # fmt: skip
def test_a_damaged_state_of_a_killed_keeper(rig: Rig, text: str) -> None:
    rig.up(script=TOUGH)
    rig.lose()
    (rig.instance() / "state.json").write_text(text, encoding="latin-1")

    status = rig.run("status", "one", "--json")
    assert status.rc == 1, status.output()
    assert status.json["data"]["instances"][0]["state"] == "damaged"

    down = rig.down()
    assert down.json["data"]["previous_state"] == "damaged"


def test_up_over_a_damaged_state_cleans_and_starts(rig: Rig) -> None:
    rig.up(script=TOUGH)
    rig.lose()
    (rig.instance() / "state.json").write_text("{")
    assert rig.up().events[0]["event"] == "cleaned"
    rig.down()


def test_a_damaged_state_below_a_living_keeper_harms_nothing(rig: Rig) -> None:
    rig.up()
    (rig.instance() / "state.json").write_text("{")
    assert rig.run("status", "one").rc == 0
    assert rig.run("up", rig.profile()).rc == 0
    rig.down()


def test_the_state_of_another_machine_is_refused(rig: Rig) -> None:
    rig.up(script=TOUGH)
    old = rig.stored()
    rig.lose()
    change(rig, machine="another-machine")

    up = rig.run("up", rig.profile(script=TOUGH), "--json")
    down = rig.run("down", "one", "--json")
    status = rig.run("status", "one", "--json")

    assert (up.rc, rig.errors(up)) == (3, ["foreign-state"])
    assert (down.rc, rig.errors(down)) == (3, ["foreign-state"])
    assert "another-machine" in down.json["errors"][0]["message"]
    assert str(rig.instance()) in down.json["errors"][0]["remedy"]  # that machine may be gone
    assert (status.rc, status.json["data"]["instances"][0]["state"]) == (1, "foreign")
    assert all(alive(p["pid"]) for p in old["processes"]), "nothing of it may be touched"
    change(rig, machine=old["machine"])
    rig.down()


def test_what_ended_on_another_machine_does_not_stand_in_the_way(rig: Rig) -> None:
    rig.up()
    rig.down()
    change(rig, machine="another-machine")
    rig.up()
    rig.down()


@pytest.mark.parametrize("was", ["starting", "loading", "ready", "stopping"])
def test_after_a_reboot_it_is_lost_until_somebody_acknowledges_it(rig: Rig, was: str) -> None:
    """The boot id differs; the recorded pids belong to strangers by now."""
    rig.up()
    stored = rig.stored()
    rig.kill(rig.keeper(), signal.SIGTERM)
    rig.wait_for_state("stopped")
    wait_for(lambda: not processes.of_home(rig.home), "the end of the instance")
    stranger = os.getpid()
    start = int(Path(f"/proc/{stranger}/stat").read_text().rpartition(")")[2].split()[19])
    me = {"pid": stranger, "start": start, "session": os.getsid(0), "name": "python"}
    session = {"id": os.getsid(0), "seen": 1 << 60}
    change(
        rig, **{**stored, "state": was, "boot": "an-earlier-boot", "processes": [me],
                "sessions": [session], "keeper": {"pid": stranger, "start": start}}
    )  # fmt: skip

    status = rig.run("status", "one", "--json")
    assert status.rc == 1, status.output()
    row = status.json["data"]["instances"][0]
    assert row["state"] == "lost"
    assert "the machine was restarted" in row["note"]
    assert rig.run("status", "--json").rc == 1, "monitoring asks for all"
    diagnose = rig.run("diagnose", "one", "--json")
    assert diagnose.rc == 1, diagnose.output()
    assert diagnose.json["data"]["state"]["name"] == "rebooted"

    if was != "ready":
        down = rig.run("down", "one", "--json")
        assert (down.rc, down.json["data"]["previous_state"]) == (0, "lost"), down.output()
        assert rig.run("status", "--json").rc == 0
    assert alive(stranger)
    rig.up()
    rig.down()


def test_a_keeper_that_hangs_is_named(rig: Rig) -> None:
    rig.up()
    keeper = rig.keeper()
    os.kill(keeper, signal.SIGSTOP)
    try:
        status = rig.run("status", "one", "--json")
        down = rig.run("down", "one", "--json")
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert status.rc == 1
    assert "keeper does not answer" in status.json["data"]["instances"][0]["note"]
    assert (down.rc, rig.errors(down)) == (5, ["keeper-timeout"])
    assert str(keeper) in down.json["errors"][0]["remedy"]
    rig.run("down", "one")
    rig.nothing_left()


def test_an_instance_whose_folder_was_deleted_ends(rig: Rig) -> None:
    """This keeper cannot be reached any more; SIGTERM still ends everything."""
    rig.up()
    state, plan = rig.stored(), rig.stored(file="plan.json")
    shutil.rmtree(rig.instance())
    os.kill(state["keeper"]["pid"], signal.SIGTERM)
    wait_for(lambda: not alive(state["keeper"]["pid"]), "the end of the keeper")
    assert not alive(state["engine"]["pid"])
    assert not Path(plan["temporary_folder"]).exists()
