"""`restart`: down and up, on the same ports; and the keeper's own restarts."""

import json
import os
import shlex
import signal
import socket
import stat
import sys
from functools import partial
from pathlib import Path

from tests.cli.test_doctor import few_files
from tests.support.rig import Rig
from tests.support.waiting import wait_for


def test_by_name_what_ran_runs_again_on_its_ports(rig: Rig) -> None:
    name = f"kept-{os.getpid()}"  # no other test leases this name's ports meanwhile
    rig.up(name)
    before = rig.stored(name)
    ran = rig.run("restart", name, "--json")
    assert ran.rc == 0, ran.output()
    after = rig.stored(name)
    assert after["ports"] == before["ports"]
    assert after["engine"] != before["engine"]
    assert ran.json["command"] == "restart"
    assert ran.json["data"]["stopped"]["receipt"]["left"] == []
    assert rig.run("restart", name).stdout.splitlines()[1] == f"{name} is ready"
    rig.down(name)


def test_by_name_the_checks_that_up_forced_are_forced_again(rig: Rig) -> None:
    """`--force` is of the start, not of the profile: it has to be recorded."""
    started = rig.spawn("up", rig.profile(), "--force", "open-files", preexec_fn=few_files)
    output, _ = started.communicate(timeout=600)
    assert started.returncode == 0, output
    for arguments in (["restart", "one"], ["restart", "one", "--force", "ports"]):
        again = rig.spawn(*arguments, preexec_fn=few_files)
        output, errors = again.communicate(timeout=600)
        assert again.returncode == 0, (output, errors)
        assert "started past the check open-files" in output
        assert rig.stored()["forced"] == ["open-files"]
    assert rig.stored(file="options.json")["force"] == ["open-files", "ports"]
    rig.down()
    stopped = rig.spawn("restart", "one", preexec_fn=few_files)
    output, errors = stopped.communicate(timeout=600)
    assert stopped.returncode == 0, (output, errors)
    # A profile is read anew, with the options that are given with it.
    refused = rig.spawn("restart", rig.profile(), "--json", preexec_fn=few_files)
    output, _ = refused.communicate(timeout=600)
    assert refused.returncode == 3, output
    assert rig.run("status", "one").rc == 0, "nothing was stopped"
    rig.down()


def test_by_name_what_an_older_release_recorded_counts_too(rig: Rig) -> None:
    """Its state names the failed checks; a check that no longer exists is not an obstacle."""
    started = rig.spawn("up", rig.profile(), "--force", "open-files", preexec_fn=few_files)
    started.communicate(timeout=600)
    rig.down()
    (rig.instance() / "options.json").unlink()
    state = rig.stored()
    state["forced"].append("a-check-of-the-past")
    (rig.instance() / "state.json").write_text(json.dumps(state))
    again = rig.spawn("restart", "one", preexec_fn=few_files)
    output, errors = again.communicate(timeout=600)
    assert again.returncode == 0, (output, errors)
    rig.down()


def test_the_remedy_of_another_configuration_repeats_force(rig: Rig) -> None:
    rig.up()
    ran = rig.run("up", rig.profile(health={"probe-timeout": 9}), "--force", "ports", "--json")
    (error,) = ran.json["errors"]
    assert "--force ports`" in error["remedy"]
    rig.down()


def test_by_name_one_of_the_foreground_is_in_the_background_and_that_is_said(rig: Rig) -> None:
    supervised = rig.spawn("up", rig.profile(), "--foreground")
    rig.wait_for_state("ready")
    ran = rig.run("restart", "one")
    assert ran.rc == 0, ran.output()
    assert "it was started with --foreground" in ran.stdout
    assert supervised.wait(timeout=600) == 0
    again = rig.run("restart", "one")
    assert (again.rc, "--foreground" in again.stdout) == (0, False), again.output()
    rig.down()


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
    arguments = shlex.split(error["remedy"].split("`")[1])
    assert arguments == ["ernie-deploy", "restart", rig.profile(), *options]
    assert rig.run(*arguments[1:]).rc == 0
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
    ran = rig.run("restart", "unknown", "--json")
    assert (ran.rc, rig.errors(ran)) == (2, ["unknown-instance"])


POLICY = {"policy": "on-failure", "max-restarts": 2, "first-delay": 0.1}
SLOW = {**POLICY, "first-delay": 600, "max-delay": 600}


def is_ready_again(rig: Rig, restarts: int) -> bool:
    stored = rig.stored()
    return bool(stored["restarts"] == restarts and stored["state"] == "ready")


def test_the_keeper_restarts_an_engine_that_died(rig: Rig) -> None:
    rig.up(restart=POLICY)
    for number in (1, 2):
        state = rig.wait_for_state("ready")
        os.kill(state["engine"]["pid"], signal.SIGKILL)
        wait_for(
            partial(is_ready_again, rig, number),
            f"restart {number}",
        )
    assert rig.run("status", "one").rc == 0
    os.kill(rig.engine(), signal.SIGKILL)
    state = rig.wait_for_state("failed")
    assert (state["restarts"], state["exit_code"]) == (2, 6)
    assert state["error"]["message"].endswith("; given up after 2 restarts within 10 min")
    assert state["receipt"]["left"] == []
    assert state["receipt"]["foreign"] == []
    rig.nothing_left()


def test_down_between_two_runs(rig: Rig) -> None:
    rig.up(restart=SLOW)
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
    rig.up(restart=SLOW)
    folder = Path(rig.stored(file="plan.json")["temporary_folder"])
    (folder / "sub").mkdir()
    (folder / "sub" / "file").touch()
    (folder / "link").symlink_to(rig.instance())
    folder_fd = os.open(folder, os.O_RDONLY)  # nothing else gets its inode number meanwhile
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 1, "the wait for the restart")
    info = folder.lstat()
    assert info.st_ino == os.fstat(folder_fd).st_ino, "not removed and made again either"
    assert (stat.S_IMODE(info.st_mode), info.st_uid) == (0o700, os.getuid())
    os.close(folder_fd)
    assert list(folder.iterdir()) == []
    assert rig.instance().exists()
    rig.down()
    assert not folder.exists()


def test_a_keeper_killed_between_two_runs_leaves_nothing_that_down_does_not_remove(
    rig: Rig,
) -> None:
    rig.up(restart=SLOW)
    folder = Path(rig.stored(file="plan.json")["temporary_folder"])
    os.kill(rig.engine(), signal.SIGKILL)
    wait_for(lambda: rig.stored()["restarts"] == 1, "the wait for the restart")
    rig.kill(rig.keeper())
    assert folder.exists()
    ran = rig.run("down", "one", "--json")
    assert (ran.rc, ran.json["data"]["receipt"]["left"]) == (0, []), ran.output()
    assert not folder.exists()


def test_a_restart_that_does_not_start_is_the_end(rig: Rig) -> None:
    """It was ready once; the second run finds its queue taken by another process."""
    once = rig.path("once")
    python = rig.folder / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -I ] && [ -e {once} ]; then exit 5; fi\n'
        f'[ "$1" = -I ] && [ -e {rig.path("armed")} ] && touch {once}\n'
        f'exec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(0o755)
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
    die = rig.path("die")
    script = [{"wait": die}, {"remove": die}, {"log": [str(log), "LOST a worker"]}, {"exit": 3}]
    rig.up(script={"after": script}, restart=POLICY)
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
    assert (ran.rc, rig.errors(ran)) == (3, ["missing-secret"]), ran.output()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))
        listener.listen()
        ran = rig.run("restart", rig.profile(ports={"api": free_port}), "--json")
        assert (ran.rc, rig.errors(ran)) == (3, ["port-taken"]), ran.output()
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
    overlay = rig.path("overlay.yaml")
    Path(overlay).write_text("env: {A: '${FAKE_VARIABLE}'}\n")
    rig.env["FAKE_VARIABLE"] = "told"
    assert rig.run("restart", "one", "--overlay", overlay, "--json").rc == 0
    assert rig.stored(file="profile.json")["env"] == {"A": "told"}
    rig.down()
