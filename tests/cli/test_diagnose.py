"""`ernie-deploy diagnose` as a user runs it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.lifecycle import InstanceState
from tests.support.cli import Ran
from tests.support.rig import Rig
from tests.support.waiting import wait_for

LINE = "KeyError: \"tool helper: 'hermes' not found in tool_parsers\""


def test_logs_of_a_server_that_somebody_else_started(
    run_cli: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "nohup.out").write_text(f"starting\n{LINE}\n")
    ran = run_cli("diagnose", "--logs", str(tmp_path))
    assert ran.rc == 1, ran.output()
    assert ran.stdout.startswith("ED-FD-TOOL-PARSER-UNKNOWN")
    assert "nohup.out:2" in ran.stdout
    assert LINE in ran.stdout
    assert "it will fail again" in ran.stdout


def test_as_json(run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text(f"{LINE}\n")
    ran = run_cli("diagnose", "--logs", str(log), "--engine", "fastdeploy", "--json")
    assert ran.rc == 1
    data = ran.json["data"]
    assert data["rule"] == "ED-FD-TOOL-PARSER-UNKNOWN"
    assert data["evidence"]["line"] == 1
    assert data["retry"] is False


def test_healthy_logs(run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("INFO all is well\n")
    ran = run_cli("diagnose", "--logs", str(tmp_path))
    assert (ran.rc, ran.stderr) == (0, "")
    assert ran.stdout.startswith("the logs show nothing wrong")


@pytest.mark.parametrize("text", ["milk\nbread\n", "name,when\nx,2026-01-09\n", "\n\n"])
def test_what_is_no_log_is_not_well(text: str, run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(text)
    for path in (tmp_path, tmp_path / "notes.txt"):
        ran = run_cli("diagnose", "--logs", str(path), "--json")
        assert ran.rc == 3, ran.output()
        (error,) = ran.json["errors"]
        assert error["code"] == "no-logs"
        assert "is not recognised as logs" in error["message"]


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-09T10:00:00.0Z stdout F hello",
        "\x1b[32mINFO\x1b[0m:     Started server process [1]",
        "(EngineCore pid=7) INFO 01-09 10:00:00 [core.py:1] up",
        "[2026-01-09 10:00:00 +0000] [7] [INFO] Listening at: http://127.0.0.1:8180",
        "[2026-01-09 10:00:00,123] [    INFO] - loading",
        "I0109 10:00:00.000000    7 init.cc:1] hello",
    ],
)
def test_forms_of_logs_that_are_known(
    line: str, run_cli: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_text(f"banner\n{line}\n")
    assert run_cli("diagnose", "--logs", str(tmp_path)).rc == 0


def test_binary_files_are_named_and_passed_over(
    run_cli: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "core").write_bytes(b"\x7fELF\0\0" + LINE.encode() + b"\n")
    (tmp_path / "a.log").write_text("INFO all is well\n")
    ran = run_cli("diagnose", "--logs", str(tmp_path), "--json")
    assert ran.rc == 0, ran.output()
    assert ran.json["data"]["notes"] == ["binary files are not read (core)"]
    # A log that was emptied under its writer begins with a hole.
    (tmp_path / "a.log").write_bytes(bytes(100) + f"\n{LINE}\n".encode())
    assert run_cli("diagnose", "--logs", str(tmp_path)).rc == 1
    (tmp_path / "a.log").unlink()
    only = run_cli("diagnose", "--logs", str(tmp_path), "--json")
    assert only.rc == 3
    assert "binary files are not read (core)" in only.json["errors"][0]["message"]


def test_nothing_in_a_log_steers_the_terminal(run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    name = "a\x1b[2J.log"
    (tmp_path / name).write_text("\x1b]0;mine\x07INFO up\nValueError: \x1b[31m\x07\x9b2Jno\n")
    ran = run_cli("diagnose", "--logs", str(tmp_path))
    assert ran.rc == 1, ran.output()
    assert "ValueError: no" in ran.stdout
    assert ran.stdout.replace("\n", "").isprintable()


def test_an_exit_code_helps_where_logs_are_silent(
    run_cli: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_text("INFO loading\n")
    ran = run_cli("diagnose", "--logs", str(tmp_path), "--exit-code", "137", "--json")
    assert ran.json["data"]["rule"] == "ED-KILLED"


def test_what_is_asked_wrongly(run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    assert run_cli("diagnose").rc == 2
    assert run_cli("diagnose", "x", "--logs", str(tmp_path)).rc == 2
    assert run_cli("diagnose", "--logs", str(tmp_path / "nothing")).rc == 2
    empty = run_cli("diagnose", "--logs", str(tmp_path), "--json")
    assert (empty.rc, empty.json["errors"][0]["code"]) == (3, "no-logs")
    unknown = run_cli("diagnose", "unknown", "--json")
    assert (unknown.rc, unknown.json["errors"][0]["code"]) == (2, "unknown-instance")


def test_an_instance_by_name(run_cli: Callable[..., Ran], home: Path) -> None:
    """An instance directory as the keeper leaves it after a failed start."""
    from launcher.codec import encode
    from launcher.engines.fastdeploy import failures
    from launcher.keeper.state import State, write_state
    from launcher.plan.model import LaunchPlan

    folder = home / "instances" / "one"
    own = folder / "logs" / "engine"
    own.mkdir(parents=True)
    plan = LaunchPlan(
        "one", "fastdeploy", "2.4.0", ("/bin/true",), "/", str(own), str(home / "tmp"),
        failure_rules=failures.rules("2.4"), noise=failures.noise(),
    )  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(encode(plan)))
    write_state(
        folder, State("one", "token", state=InstanceState.FAILED, started_at=1.0, engine_exit=0)
    )
    (own / "workerlog.0").write_text("ValueError: Invalid quantization method: nope\n")
    failed = "Failed to launch worker processes, check log/workerlog.* for more details."
    (folder / "logs" / "engine.log").write_text(f"2026-01-09T10:00:00.0Z stderr F {failed}\n")
    ran = run_cli("diagnose", "one", "--json")
    assert ran.rc == 1, ran.output()
    assert ran.json["instance"] == "one"
    assert ran.json["data"]["rule"] == "ED-FD-QUANTIZATION-INVALID"
    alternatives = [finding["rule"] for finding in ran.json["data"]["alternatives"]]
    assert alternatives == ["ED-FD-WORKER-LAUNCH-FAILED"]


def test_a_killed_keeper_is_said_first(rig: Rig) -> None:
    rig.up()
    keeper = rig.keeper()
    rig.kill(keeper)
    ran = rig.run("diagnose", "one")
    assert ran.rc == 1, ran.output()
    assert ran.stdout.startswith(f"one is LOST: its keeper (pid {keeper}) was killed")
    assert "nothing wrong" not in ran.stdout
    assert "ernie-deploy down one" in " ".join(ran.stdout.split())
    data = rig.run("diagnose", "one", "--json").json["data"]
    assert data["state"]["name"] == "lost"
    assert data["cause"] == data["state"]["message"]
    rig.down()
    after = rig.run("diagnose", "one")
    assert after.rc == 1, after.output()
    assert after.stdout.startswith("the keeper of one had been killed; what it left was cleaned")


def test_who_stopped_it_is_said_after_a_down(rig: Rig) -> None:
    rig.up()
    rig.down()
    ran = rig.run("diagnose", "one")
    assert ran.rc == 0, ran.output()
    assert ran.stdout.startswith("one was stopped by `ernie-deploy down` at ")
    assert "exit code" not in ran.stdout
    assert "its logs show nothing wrong" in ran.stdout


def test_what_signal_stopped_it(rig: Rig) -> None:
    rig.up()
    rig.kill(rig.keeper(), signal.SIGTERM)
    rig.wait_for_state("stopped")
    ran = rig.run("diagnose", "one")
    assert ran.rc == 0, ran.output()
    assert ran.stdout.startswith("one was stopped by SIGTERM to its keeper")


def test_what_it_was_given_up_for_comes_before_the_logs(rig: Rig) -> None:
    """The logs are silent: only the keeper knows that the start took too long."""
    health = {"startup-timeout": "1s"}
    script = {"before": [{"sleep": 600}]}
    assert rig.run("up", rig.profile(script=script, health=health)).rc == 5
    ran = rig.run("diagnose", "one")
    assert ran.rc == 1, ran.output()
    assert ran.stdout.startswith("one has failed: not ready after 1 s")
    assert "health.startup-timeout" in ran.stdout
    rig.down()
    assert rig.run("diagnose", "one").stdout == ran.stdout


def test_one_that_runs_is_asked_and_judged_by_its_logs(rig: Rig) -> None:
    rig.up()
    ran = rig.run("diagnose", "one")
    assert ran.rc == 0, ran.output()
    assert ran.stdout.startswith("one is ready: GET /health answered 200 and POST /v1/chat/")
    assert "its logs show nothing wrong" in ran.stdout
    rig.down()


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ({"health": 404, "health_text": "Sick"}, "GET /health answered 404 Sick"),
        ({"health": 304}, "GET /health answered 304"),
        ({"health": "hang"}, "GET /health timed out after 2 s"),
        ({"completion": "hang"}, "POST /v1/chat/completions timed out after 1 s"),
        ({"completion": "empty"}, "without any text"),
        ({"completion": "500"}, "answered with 500"),
    ],
)
def test_a_ready_server_that_does_not_work(
    rig: Rig, later: dict[str, object], expected: str
) -> None:
    """The logs show nothing: only the question does. `status` asks no completion."""
    switch = Path(rig.path("later"))
    script = [{"error": "WARNING 2030-01-09 10:00:00,000 pid file.py[line:1] something is odd"}]
    rig.up(script={"later": str(switch), "after": script}, health={"probe-timeout": 1})
    assert rig.run("diagnose", "one").rc == 0
    switch.write_text(json.dumps(later))
    ran = rig.run("diagnose", "one")
    assert ran.rc == 1, ran.output()
    assert ran.stdout.startswith("one is unhealthy: ")
    assert expected in ran.stdout
    assert "nothing wrong" not in ran.stdout
    assert "newest lines of its logs:" in ran.stdout
    assert "something is odd" in ran.stdout
    assert "`ernie-deploy restart one`" in " ".join(ran.stdout.split())
    if "health" in later:
        status = rig.run("status", "one")
        assert status.rc == 1
        assert status.stdout.splitlines()[0] == ran.stdout.splitlines()[0]
    rig.down()


def test_a_keeper_that_does_not_answer_is_said(rig: Rig) -> None:
    rig.up()
    keeper = rig.keeper()
    rig.kill(keeper, signal.SIGSTOP)
    try:
        status = rig.run("status", "one")
        ran = rig.run("diagnose", "one")
    finally:
        rig.kill(keeper, signal.SIGCONT)
    assert (status.rc, ran.rc) == (1, 1), ran.output()
    assert status.stdout.startswith("the state of one is unknown: the keeper does not answer")
    assert ran.stdout.splitlines()[0] == status.stdout.splitlines()[0]
    rig.down()


def test_while_it_loads_that_is_said(rig: Rig) -> None:
    script = {"before": [{"print": "PHASE weights 25%"}, {"sleep": 600}]}
    process = rig.spawn("up", rig.profile(script=script), "--json")
    rig.wait_for_state("loading")
    wait_for(lambda: "weights 25 %" in rig.run("status", "one").stdout, "the phase")
    ran = rig.run("diagnose", "one")
    assert ran.rc == 0, ran.output()
    assert ran.stdout.startswith("one is loading: phase weights 25 %")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=600)


def test_error_lines_of_a_server_that_answers_are_a_note(rig: Rig) -> None:
    """Refused requests leave tracebacks in the logs of every healthy server."""
    rig.up(script={"after": [{"error": "ValueError: messages is not a list"}]})
    wait_for(lambda: b"not a list" in (rig.instance() / "logs/engine.log").read_bytes(), "the line")
    ran = rig.run("diagnose", "one")
    assert ran.rc == 0, ran.output()
    assert "engine.log:1: ValueError: messages is not a list (the server answers)" in ran.stdout
    rig.down()
    stopped = rig.run("diagnose", "one")
    assert stopped.rc == 0, "its end was ordered"
    assert "engine.log:1: ValueError: messages is not a list" in stopped.stdout
    assert "(the server answers)" not in stopped.stdout
