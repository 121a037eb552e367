"""Starts that fail, and the one message each: ports, exits, fatal lines, hangs, disks, keys."""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, cli, ports
from tests.support.decoded import JsonDict
from tests.support.processes import alive
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for


def refused(rig: Rig, code: int, word: str, **keys: Any) -> JsonDict:
    """`up` of a profile, which has to fail with this exit code, error code and no trace."""
    ran = rig.run("up", rig.profile(**keys), "--json")
    assert (ran.rc, rig.errors(ran)) == (code, [word]), ran.output()
    rig.nothing_left()
    error: JsonDict = ran.json["errors"][0]
    return error


def test_the_port_is_taken_before(rig: Rig, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        ran = rig.run("up", rig.profile(ports={"api": free_port}), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["port-taken"]), ran.output()
    message = ran.json["errors"][0]["message"]
    assert f"port {free_port}" in message
    assert f"pid {os.getpid()}" in message, "the holder has to be named"
    assert not rig.instance().exists(), "a refused first start leaves nothing behind"


def test_the_port_is_stolen_during_the_load_by_a_server_that_answers(
    rig: Rig, free_port: int
) -> None:
    """The thief looks healthy; only who owns the socket tells it from the engine."""
    go = rig.path("go")
    profile = rig.profile(
        ports={"api": free_port}, script={"before": [{"wait": go}, {"sleep": 600}]}
    )
    process = rig.spawn("up", profile, "--json")
    rig.wait_for_state("loading")
    thief = subprocess.Popen(
        [sys.executable, "-I", "-S", str(ROOT / "tests/support/fake_server.py"),
         str(free_port), "{}"]
    )  # fmt: skip
    try:
        stdout, _ = process.communicate(timeout=600)
    finally:
        thief.kill()
        thief.wait()
    envelope = json.loads(stdout.splitlines()[-1])
    assert (process.returncode, envelope["errors"][0]["code"]) == (4, "port-taken-while-loading")
    assert f"pid {thief.pid}" in envelope["errors"][0]["message"]
    rig.nothing_left()


def test_the_port_is_stolen_and_the_engine_cannot_bind(rig: Rig, free_port: int) -> None:
    thief = [{"spawn": {"session": True, "port": free_port}}]
    error = refused(
        rig, 4, "ED-FAKE-PORT", ports={"api": free_port}, script={"before": thief}
    )  # fmt: skip
    assert str(free_port) in error["message"]


@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_engine_that_exits_before_ready_has_failed(rig: Rig, code: int) -> None:
    script = {"before": [{"error": "some words"}, {"exit": code}]}
    error = refused(rig, 4, "engine-exited", script=script)
    assert f"exit code {code}" in error["message"]


def test_an_engine_that_is_gone_within_a_millisecond(rig: Rig, tmp_path: Path) -> None:
    """It is a zombie before the keeper's first look at it."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -I ] && exit 7\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    error = refused(rig, 4, "engine-exited", python=str(python), args={"use-python": True})
    assert "exit code 7" in error["message"]


@pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM"])
def test_an_engine_killed_in_load(rig: Rig, name: str) -> None:
    process = rig.spawn("up", rig.profile(script={"before": [{"sleep": 600}]}), "--json")
    pid = rig.wait_for_state("loading")["engine"]["pid"]
    if name == "TERM":
        # Its handler may not be installed yet: then the signal ends it, else it exits with 0.
        wait_for(lambda: b"fake" in Path(f"/proc/{pid}/cmdline").read_bytes(), "exec")
    os.kill(pid, getattr(signal, f"SIG{name}"))
    stdout, _ = process.communicate(timeout=600)
    error = json.loads(stdout.splitlines()[-1])["errors"][0]
    assert (process.returncode, error["code"]) == (4, "engine-exited")
    assert name in error["message"] or name == "TERM"
    rig.nothing_left()


def test_an_engine_killed_when_ready_has_died(rig: Rig) -> None:
    script = {"after": [{"error": "ValueError: the cause: a broken GPU"}]}
    rig.up(script=script, restart=NEVER)
    os.kill(rig.engine(), signal.SIGKILL)
    state = rig.wait_for_state("died")
    assert (state["exit_code"], state["engine_exit"]) == (6, -9)
    status = rig.run("status", "one", "--json")
    assert status.rc == 1
    assert status.json["data"]["instances"][0]["error"]["code"] == "ED-FAKE-CAUSE"
    assert "a broken GPU" in status.json["errors"][0]["message"]
    rig.nothing_left()
    down = rig.run("down", "one", "--json")
    assert (down.rc, down.json["data"]["previous_state"]) == (0, "died")


def test_a_vital_process_that_dies_takes_the_engine_with_it(rig: Rig) -> None:
    pid = rig.path("worker")
    script = {"before": [{"spawn": {"session": True, "pid": pid}}]}
    rig.up(script=script, args={"vital": ["fake_server"]}, restart=NEVER)
    wait_for(lambda: len(rig.stored()["processes"]) == 2, "the worker in the state")
    os.kill(int(Path(pid).read_text()), signal.SIGKILL)
    assert rig.wait_for_state("died")["exit_code"] == 6
    rig.nothing_left()


def test_a_fatal_line_ends_the_start_at_once(rig: Rig) -> None:
    script = {"before": [{"error": "FATAL a cosmic ray"}, {"sleep": 600}]}
    error = refused(rig, 4, "ED-FAKE-FATAL", script=script)
    assert error["message"] == "it said a cosmic ray"
    assert error["remedy"] == "do not say it"


def test_a_fatal_line_without_an_end_counts_when_the_engine_ends(rig: Rig) -> None:
    refused(rig, 4, "ED-FAKE-FATAL", script={"before": [{"raw": "FATAL last words"}, {"exit": 0}]})


def test_a_summary_line_leads_to_the_cause(rig: Rig) -> None:
    lines = [{"error": "ValueError: the cause: no such layer"}, {"error": "it all went wrong"}]
    error = refused(rig, 4, "ED-FAKE-CAUSE", script={"before": [*lines, {"sleep": 600}]})
    assert "no such layer" in error["message"]


def test_a_key_in_the_engines_last_words_is_not_repeated(rig: Rig) -> None:
    rig.env["MY_SECRET"] = "correct-horse-battery"
    script = {"before": [{"error": "FATAL key correct-horse-battery is odd"}, {"sleep": 600}]}
    ran = rig.run("up", rig.profile(api_key="env:MY_SECRET", script=script), "--json")
    assert ran.rc == 4
    assert "correct-horse-battery" not in ran.stdout + ran.stderr
    for path in rig.instance().rglob("*"):
        if path.is_file() and path.name not in ("engine.log", "plan.json", "profile.yaml",
                                                "profile.json"):  # fmt: skip
            assert b"correct-horse-battery" not in path.read_bytes(), path


def test_an_engine_stopped_in_load_makes_no_progress(rig: Rig) -> None:
    script = {"before": [{"print": "PHASE weights 40%"}, {"signal": "STOP"}]}
    error = refused(rig, 5, "no-progress", script=script, health={"no-progress-timeout": 2})
    assert "stopped by a signal" in error["message"]
    assert "'weights'" in error["message"]


def test_an_engine_stopped_with_its_port_open_makes_no_progress(rig: Rig) -> None:
    """The kernel goes on accepting connections for a stopped process."""
    script = {"health": 503, "after": [{"sleep": 0.3}, {"signal": "STOP"}]}
    error = refused(rig, 5, "no-progress", script=script, health={"no-progress-timeout": 2})
    assert "stopped by a signal" in error["message"]


def test_an_unhealthy_server_is_no_progress_however_often_it_is_asked(rig: Rig) -> None:
    error = refused(
        rig, 5, "no-progress", script={"health": 503}, health={"no-progress-timeout": 3}
    )
    assert "no progress for 3 s" in error["message"]


def test_the_total_deadline(rig: Rig) -> None:
    script = {"before": [{"print": "PHASE weights 40%"}, {"spin": 600}]}
    error = refused(rig, 5, "startup-timeout", script=script, health={"startup-timeout": 2})
    assert "not ready after 2 s, in phase 'weights' at 40 %" in error["message"]


def test_an_engine_stopped_when_ready_is_unhealthy_and_can_be_taken_down(rig: Rig) -> None:
    rig.up(stop={"grace": 5})
    os.kill(rig.engine(), signal.SIGSTOP)
    status = rig.run("status", "one", "--json")
    assert status.rc == 1
    assert status.json["data"]["instances"][0]["healthy"] is False
    down = rig.down()
    assert down.json["data"]["receipt"]["seconds"] < 30


def test_an_engine_that_ignores_sigterm_is_killed(rig: Rig) -> None:
    rig.up(script={"sigterm": "ignore"}, stop={"grace": 0.5})
    engine = rig.engine()
    rig.down()
    assert not alive(engine)
    assert rig.stored()["engine_exit"] == -9


def test_down_ends_daemons_in_sessions_of_their_own(rig: Rig) -> None:
    """The whole tree goes, whatever it did to get away."""
    escapes = [
        {"spawn": {"session": True, "double": True, "ignore": ["TERM", "HUP"]}},
        {"spawn": {"double": True, "bare": True}},
        {"spawn": {"ignore": ["TERM"]}},
    ]
    rig.up(script={"before": escapes})
    wait_for(lambda: len(rig.stored()["processes"]) == 4, "the whole tree in the state")
    tree = [p["pid"] for p in rig.stored()["processes"]]
    rig.down()
    assert not any(alive(pid) for pid in tree)


def test_children_made_while_stopping_are_found(rig: Rig) -> None:
    started = rig.path("late")
    script = {
        "after": [{"wait": rig.path("go")},
                  {"spawn": {"session": True, "double": True, "ignore": ["TERM"], "pid": started}},
                  {"exit": 0}]
    }  # fmt: skip
    rig.up(script=script, restart=NEVER)
    Path(rig.path("go")).touch()
    rig.wait_for_state("died")
    assert not alive(int(Path(started).read_text()))
    rig.nothing_left()


def test_the_key_is_wrong(rig: Rig) -> None:
    rig.env["MY_SECRET"] = "not-the-right-one"
    error = refused(
        rig, 4, "key-refused", api_key="env:MY_SECRET", script={"key": "another"}
    )  # fmt: skip
    assert "401" in error["message"]


def test_the_key_cannot_be_sent(rig: Rig) -> None:
    rig.env["MY_SECRET"] = "key-of-lines-of-secret-\N{EURO SIGN}"  # no header can hold that sign
    error = refused(rig, 4, "key-unusable", api_key="env:MY_SECRET")
    assert "lines-of-secret" not in json.dumps(error)


def test_the_key_is_missing(rig: Rig) -> None:
    ran = rig.run("up", rig.profile(api_key="env:NOT_SET_AT_ALL"), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["missing-secret"])
    assert "NOT_SET_AT_ALL" in ran.json["errors"][0]["message"]


def test_another_model_answers(rig: Rig) -> None:
    error = refused(rig, 4, "wrong-model", script={"models": ["another-model"]})
    assert "another-model" in error["message"]


def test_settings_differ(rig: Rig) -> None:
    args = {"settings": {"max-model-len": 4096}}
    script = {"settings": {"max-model-len": 2048}}
    error = refused(rig, 4, "settings-differ", args=args, script=script)
    assert "max-model-len: asked 4096, runs 2048" in error["message"]
    rig.up(args=args, script=script, health={"allow-differences": ["max-model-len"]})
    rig.down()


def test_a_completion_without_text(rig: Rig) -> None:
    refused(rig, 4, "completion-empty", script={"completion": "empty"})


def test_a_completion_that_hangs(rig: Rig) -> None:
    error = refused(
        rig, 5, "completion-timeout", script={"completion": "hang"}, health={"probe-timeout": 1}
    )
    assert "within 1 s" in error["message"]


def test_reasoning_alone_is_an_answer(rig: Rig) -> None:
    rig.up(script={"completion": "reasoning"})
    rig.down()


def test_a_slow_start_with_a_304_and_a_503_first(rig: Rig) -> None:
    ran = rig.up(script={"health": [304, 503, 304, 200]})
    probes = [e["name"] for e in ran.events if e["event"] == "probe"]
    assert probes == ["listening", "health", "models", "settings", "completion"], "each once"
    rig.down()


# -- the disk is full ---------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> list[str]:
    """Words that run a command with $ERNIE_DEPLOY_HOME/instances on a tmpfs of 64 KiB."""
    if not shutil.which("unshare"):
        pytest.skip("there is no `unshare`")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a mount namespace")
    script = (
        'mkdir -p "$ERNIE_DEPLOY_HOME/instances" && '
        'mount -t tmpfs -o size=64k,mode=0700 none "$ERNIE_DEPLOY_HOME/instances" && '
    )
    return ["unshare", "-m", "sh", "-c", script]


def on_small_disk(argv: list[str], rig: Rig, script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*argv[:-1], argv[-1] + script], text=True, capture_output=True, timeout=600,
        env=cli.environment(rig.home, rig.env), cwd=ROOT,
    )  # fmt: skip


def test_the_disk_is_full_before_the_start(rig: Rig, small_disk: list[str]) -> None:
    command = " ".join(cli.argv("up", rig.profile(), "--json", "--force", "disk-state"))
    fill = 'dd if=/dev/zero of="$ERNIE_DEPLOY_HOME/instances/.fill" bs=4k 2>/dev/null; '
    ran = on_small_disk(small_disk, rig, fill + command)
    assert ran.returncode == 3, ran
    error = json.loads(ran.stdout.splitlines()[-1])["errors"][0]
    assert error["code"] == "state-not-writable"
    assert "No space left" in error["message"]
    assert "Traceback" not in ran.stderr
    rig.nothing_left()


def test_the_disk_fills_up_while_the_engine_runs(rig: Rig, small_disk: list[str]) -> None:
    """Output is lost and told; the engine does not notice, and `down` works."""
    profile = rig.profile(script={"after": [{"flood": [2000, "x" * 100]}, {"touch": "done"}]})
    up, down = (
        " ".join(cli.argv(*arguments, "--json"))
        for arguments in (("up", profile, "--force", "disk-state"), ("down", "one"))
    )
    folder = "$ERNIE_DEPLOY_HOME/instances"
    ran = on_small_disk(
        small_disk, rig, f"{up}; df {folder} >&2; {down}; cp {folder}/one/state.json {rig.home}"
    )
    assert "100%" in ran.stderr, "the disk was not full"
    started, ended = (json.loads(x) for x in ran.stdout.splitlines() if '"schema"' in x)
    assert started["exit_code"] == 0
    assert 0 < started["data"]["seconds"] < 240
    assert ended["exit_code"] == 0, ran
    assert ended["data"]["receipt"]["left"] == []
    assert json.loads((rig.home / "state.json").read_text())["state"] == "stopped"
    rig.nothing_left()


# -- two at once, twice, changed -------------------------------------------------------------------


def test_two_ups_at_once_start_one_engine(rig: Rig) -> None:
    profile = rig.profile(script={"before": [{"sleep": 0.5}]})
    both = [rig.spawn("up", profile, "--json") for _ in range(2)]
    outputs = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    pids = {json.loads(text.splitlines()[-1])["data"]["pid"] for text in outputs}
    assert pids == {rig.engine()}
    starts = (rig.instance() / "events.jsonl").read_text().count('"state": "loading"')
    assert starts == 1
    rig.down()


def test_up_of_what_runs_is_nothing_to_do(rig: Rig) -> None:
    rig.up()
    engine = rig.engine()
    again = rig.run("up", rig.profile(), "--json")
    assert (again.rc, again.json["data"]["already"], again.json["data"]["pid"]) == (0, True, engine)
    rig.down()


def test_up_of_a_changed_profile_is_refused_with_the_difference(rig: Rig) -> None:
    rig.up()
    ran = rig.run("up", rig.profile(), "--set", "health.probe-timeout=7", "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["different-configuration"])
    message = ran.json["errors"][0]["message"]
    assert "health.probe-timeout: runs" in message
    assert "asked 7" in message
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_down_twice_and_of_what_never_was(rig: Rig) -> None:
    rig.up()
    rig.down()
    again = rig.run("down", "one", "--json")
    never = rig.run("down", "never", "--json")
    assert (again.rc, again.json["data"]["previous_state"]) == (0, "stopped")
    assert (never.rc, never.json["data"]["previous_state"]) == (0, "absent")


def test_two_downs_at_once(rig: Rig) -> None:
    rig.up(script={"sigterm": "slow:0.5"})
    both = [rig.spawn("down", "one", "--json") for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stdout + stderr
    rig.nothing_left()


def test_down_during_the_load(rig: Rig) -> None:
    process = rig.spawn("up", rig.profile(script={"before": [{"sleep": 600}]}), "--json")
    rig.wait_for_state("loading")
    rig.down()
    stdout, _ = process.communicate(timeout=600)
    error = json.loads(stdout.splitlines()[-1])["errors"][0]
    assert (process.returncode, error["code"]) == (4, "stopped")


def test_an_instances_fixed_port_is_free_again_for_the_next(rig: Rig) -> None:
    """The keeper's leases are back before its lock: `up` right after `down` finds its port."""
    port = ports.free_port()
    for _ in range(3):
        rig.up(ports={"api": port})
        assert rig.run("down", "one").rc == 0


class _Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_who_listens_already_on_another_address_is_no_obstacle(rig: Rig, free_port: int) -> None:
    """127.0.0.2 is not 127.0.0.1."""
    server = http.server.ThreadingHTTPServer(("127.0.0.2", free_port), _Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        rig.up(ports={"api": free_port})
        rig.down()
    finally:
        server.shutdown()
        server.server_close()
