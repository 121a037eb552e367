"""`restart`: down and up, on the same ports; and the keeper's own restarts."""

import json
import os
import shlex
import signal
import socket
import stat
from pathlib import Path

from tests.support.rig import Rig
from tests.support.waiting import wait_for


def test_by_name_what_ran_runs_again_on_its_ports(rig: Rig) -> None:
    name = f"kept-{os.getpid()}"  # no other test leases this name's ports meanwhile
    rig.up(name)
    before = rig.stored(name)
    ran = rig.run("restart", name, "--json")
    assert ran.rc == 0, ran.said()
    after = rig.stored(name)
    assert after["ports"] == before["ports"]
    assert after["engine"] != before["engine"]
    assert ran.json["command"] == "restart"
    assert ran.json["data"]["stopped"]["receipt"]["left"] == []
    assert rig.run("restart", name).stdout.splitlines()[1] == f"{name} is ready"
    rig.down(name)


def test_by_name_the_profile_as_given_is_kept(rig: Rig) -> None:
    profile = Path(rig.profile())
    text = f"# written by a person\n{profile.read_text()}"
    profile.write_text(text)
    assert rig.run("up", str(profile)).rc == 0
    assert rig.run("restart", "one").rc == 0
    assert (rig.instance() / "profile.yaml").read_text() == text
    assert rig.run("up", str(profile)).stdout.startswith("one is already ready")
    rig.down()


def test_the_remedy_of_another_configuration_repeats_what_was_asked(rig: Rig) -> None:
    rig.up()
    overlay = rig.folder / "an overlay.yaml"
    overlay.write_text("health: {probe-timeout: 9}\n")
    options = ["--overlay", str(overlay), "--set", "stop.grace=2"]
    ran = rig.run("up", rig.profile(), *options, "--json")
    (error,) = ran.json["errors"]
    assert error["code"] == "different-configuration"
    words = shlex.split(error["remedy"].split("`")[1])
    assert words == ["ernie-deploy", "restart", rig.profile(), *options]
    assert rig.run(*words[1:]).rc == 0
    assert rig.run("up", rig.profile(), *options).stdout.startswith("one is already ready")
    rig.down()


def test_by_profile_a_changed_one_takes_its_place(rig: Rig) -> None:
    rig.up()
    changed = rig.profile(health={"probe-timeout": 9})
    assert rig.run("up", changed).rc == 3
    assert rig.run("restart", changed, "--json").rc == 0
    assert rig.stored(file="plan.json")["readiness"]["probe_timeout"] == 9
    rig.down()


def test_a_wrong_profile_stops_nothing(rig: Rig) -> None:
    rig.up()
    wrong = rig.profile(python="/does/not/exist")
    assert rig.run("restart", wrong).rc == 3
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_what_does_not_run_is_started(rig: Rig) -> None:
    rig.up()
    rig.down()
    assert rig.run("restart", "one", "--json").rc == 0
    rig.down()


def test_an_unknown_name(rig: Rig) -> None:
    ran = rig.run("restart", "nobody", "--json")
    assert (ran.rc, rig.errors(ran)) == (2, ["unknown-instance"])


POLICY = {"policy": "on-failure", "max-restarts": 2, "delay": 0.1}


def test_the_keeper_restarts_an_engine_that_died(rig: Rig) -> None:
    rig.up(restart=POLICY)
    for number in (1, 2):
        state = rig.wait_for_state("ready")
        os.kill(state["engine"]["pid"], signal.SIGKILL)
        wait_for(
            lambda n=number: rig.stored()["restarts"] == n and rig.stored()["state"] == "ready",
            f"restart {number}",
        )
    assert rig.run("status", "one").rc == 0
    os.kill(rig.engine(), signal.SIGKILL)
    state = rig.wait_for_state("died")
    assert (state["restarts"], state["exit_code"]) == (2, 6)
    assert state["receipt"]["left"] == []
    assert state["receipt"]["foreign"] == []
    rig.nothing_left()


def test_down_between_two_runs(rig: Rig) -> None:
    rig.up(restart={**POLICY, "delay": 600})
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 1, "the wait for the restart")
    status = rig.run("status", "one", "--json")
    assert status.json["data"]["instances"][0]["state"] == "starting"
    ran = rig.down()
    assert ran.json["data"]["state"] == "stopped"
    assert rig.stored()["state"] == "stopped"
    assert rig.run("status", "one", "--json").json["data"]["instances"][0]["state"] == "stopped"


def test_the_temporary_folder_stays_ours_between_two_runs(rig: Rig) -> None:
    """Its name can be seen in /tmp: another user would make it, and the restart would fail."""
    rig.up(restart={**POLICY, "delay": 600})
    folder = Path(rig.stored(file="plan.json")["temporary_folder"])
    (folder / "sub").mkdir()
    (folder / "sub" / "file").touch()
    (folder / "link").symlink_to(rig.instance())
    held = os.open(folder, os.O_RDONLY)  # nothing else gets its inode number meanwhile
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 1, "the wait for the restart")
    info = folder.lstat()
    assert info.st_ino == os.fstat(held).st_ino, "not removed and made again either"
    assert (stat.S_IMODE(info.st_mode), info.st_uid) == (0o700, os.getuid())
    os.close(held)
    assert list(folder.iterdir()) == []
    assert rig.instance().exists()
    rig.down()
    assert not folder.exists()


def test_a_keeper_killed_between_two_runs_leaves_nothing_that_down_does_not_remove(
    rig: Rig,
) -> None:
    rig.up(restart={**POLICY, "delay": 600})
    folder = Path(rig.stored(file="plan.json")["temporary_folder"])
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 1, "the wait for the restart")
    rig.kill(rig.keeper())
    assert folder.exists()
    ran = rig.run("down", "one", "--json")
    assert (ran.rc, ran.json["data"]["receipt"]["left"]) == (0, []), ran.said()
    assert not folder.exists()


def test_a_restart_that_does_not_start_is_the_end(rig: Rig) -> None:
    """It was ready once; the second run finds its queue taken by somebody else."""
    once = rig.place("once")
    python = rig.folder / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -I ] && [ -e {once} ]; then exit 5; fi\n'
        f'[ "$1" = -I ] && [ -e {rig.place("armed")} ] && touch {once}\n'
        f'exec {rig.folder}/real "$@"\n'
    )
    python.chmod(0o755)
    import sys

    (rig.folder / "real").symlink_to(sys.executable)
    rig.up(restart=POLICY, python=str(python), args={"use-python": True})
    open(once, "w").close()
    os.kill(rig.engine(), signal.SIGKILL)
    state = rig.wait_for_state("failed")
    assert "exit code 5" in json.dumps(state["error"])
    assert state["receipt"]["left"] == []
    rig.nothing_left()


def test_the_last_words_of_the_run_before_do_not_end_the_next(rig: Rig) -> None:
    """Engines append to their log files: a restart finds the line that told of the death."""
    log = rig.instance() / "logs" / "engine" / "worker.log"
    die = rig.place("die")
    words = [{"wait": die}, {"remove": die}, {"log": [str(log), "LOST a worker"]}, {"exit": 3}]
    rig.up(script={"after": words}, restart=POLICY)
    Path(die).touch()
    wait_for(lambda: rig.stored()["restarts"] == 1, "the restart")
    wait_for(lambda: rig.stored()["state"] in ("ready", "failed"), "its outcome")
    assert rig.stored()["state"] == "ready", rig.stored()["error"]
    rig.down()


def test_what_would_keep_it_from_starting_stops_nothing(rig: Rig, free_port: int) -> None:
    rig.env["FAKE_SECRET"] = "sesame"
    rig.up(api_key="env:FAKE_SECRET", script={"key": "sesame"})
    rig.env["FAKE_SECRET"] = None
    ran = rig.run("restart", "one", "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["missing-secret"]), ran.said()
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        ran = rig.run("restart", rig.profile(ports={"api": free_port}), "--json")
        assert (ran.rc, rig.errors(ran)) == (3, ["port-taken"]), ran.said()
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_by_name_every_value_is_what_it_was(rig: Rig) -> None:
    """Variables were put in by `up`: a dollar that is left is text."""
    env = {"HOMELESS": "$${HOME}", "PRICE": "$$$$5", "ODD": "a\u0085b\u2028c", "SAYS": "yes"}
    rig.up(env=env, args={"tiny": 1e-05})
    before = rig.stored(file="profile.json")
    assert before["env"]["HOMELESS"] == "${HOME}"
    assert rig.run("restart", "one", "--json").rc == 0
    assert rig.stored(file="profile.json") == before
    rig.down()


def test_by_name_an_overlay_may_use_variables(rig: Rig) -> None:
    rig.up()
    overlay = rig.place("overlay.yaml")
    Path(overlay).write_text("env: {A: '${FAKE_VARIABLE}'}\n")
    rig.env["FAKE_VARIABLE"] = "told"
    assert rig.run("restart", "one", "--overlay", overlay, "--json").rc == 0
    assert rig.stored(file="profile.json")["env"] == {"A": "told"}
    rig.down()
