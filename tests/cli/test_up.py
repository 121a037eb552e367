"""`up` as a user types it."""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from tests.support import cli
from tests.support.rig import Rig
from tests.support.waiting import wait_for


def test_text_for_people(rig: Rig) -> None:
    script = {"before": [{"print": "PHASE import"}, {"print": "PHASE weights 50%"}]}
    ran = rig.run("up", rig.profile(script=script))
    assert ran.rc == 0, ran.output()
    lines = ran.stdout.splitlines()
    assert lines[0] == "one is ready"
    port = rig.stored()["ports"]["api"]
    assert f"  url      http://127.0.0.1:{port}/v1" in lines
    assert "import libraries" in ran.stderr, "progress goes to stderr"
    assert "load weights" in ran.stderr
    assert "\r" not in ran.stderr, "plain lines without a terminal"
    for rung in ("listening", "health", "models", "completion"):
        assert sum(rung in line.split() for line in lines + ran.stderr.splitlines()) == 1, rung
    again = rig.run("up", rig.profile(script=script))
    assert again.stdout.splitlines()[0] == "one is already ready"
    assert "completion" in again.stdout, "nothing was told on the way"
    rig.down()


def test_json_lines_and_the_envelope_last(rig: Rig) -> None:
    ran = rig.up(script={"before": [{"print": "PHASE weights 50%"}]})
    assert ran.stderr == ""
    states = [e["state"] for e in ran.events if e["event"] == "state"]
    assert states == ["starting", "loading", "ready"]
    phases = [e for e in ran.events if e["event"] == "phase"]
    assert [(p["phase"], p["percent"]) for p in phases] == [("import", None), ("weights", 50.0)]
    envelope = ran.json
    assert (envelope["schema"], envelope["command"], envelope["instance"]) == (
        "ernie-deploy/2", "up", "one",
    )  # fmt: skip
    evidence = envelope["data"]["evidence"]
    assert list(evidence) == ["listening", "health", "models", "settings", "completion"]
    assert evidence["listening"]["pid"] == envelope["data"]["pid"] == rig.engine()
    assert evidence["completion"]["text"] == "Hello!"
    rig.down()


def test_a_phase_told_by_a_log_file(rig: Rig) -> None:
    """Log files below the engine's folder are followed while it loads."""
    log = rig.instance() / "logs" / "engine" / "worker.log.0"
    script = {
        "before": [{"log": [str(log), "weights in a file 30%"]}, {"sleep": 0.3},
                   {"log": [str(log), "weights in a file 60%"]}, {"sleep": 0.3}]
    }  # fmt: skip
    ran = rig.up(script=script)
    assert [e["percent"] for e in ran.events if e["event"] == "phase"] == [None, 30.0, 60.0]
    rig.down()


def test_in_the_foreground_there_is_no_json(rig: Rig) -> None:
    ran = rig.run("up", rig.profile(), "--foreground", "--json")
    assert (ran.rc, ran.events, rig.errors(ran)) == (2, [], ["usage"])
    assert not rig.instance().exists()


def test_dry_run_is_plan(rig: Rig, free_port: int) -> None:
    profile = rig.profile(ports={"api": free_port})
    dry = rig.run("up", profile, "--dry-run", "--json")
    plan = rig.run("plan", profile, "--json")
    assert dry.rc == plan.rc == 0, dry.output()
    assert dry.json["data"]["plan"] == plan.json["data"]["plan"]
    assert not rig.instance().exists()


def test_another_name_is_another_instance(rig: Rig) -> None:
    rig.up()
    ran = rig.run("up", rig.profile(), "--name", "two", "--json")
    assert (ran.rc, ran.json["instance"]) == (0, "two"), ran.output()
    assert rig.stored("two")["ports"] != rig.stored()["ports"]
    assert rig.run("down", "two").rc == 0
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_files_are_private(rig: Rig) -> None:
    rig.up(script={"after": [{"log": [rig.path("made"), "x"]}]})
    for path in [rig.instance(), *rig.instance().rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path

    wait_for(Path(rig.path("made")).exists, "the engine's own file")
    assert Path(rig.path("made")).stat().st_mode & 0o077 == 0, "umask 077"
    rig.down()


def test_the_environment_of_the_engine(rig: Rig) -> None:
    """What is listed and planned, the secret, and nothing else of the caller's."""

    env_file = rig.path("env")
    rig.env.update(MY_KEY="s3cret-value", SOMEBODYS_TOKEN="not-for-engines")
    rig.up(script={"before": [{"env": env_file}]}, env={"GIVEN_KEY": "env:MY_KEY", "PLAIN": "1"})
    env = json.loads(Path(env_file).read_text())
    assert (env["GIVEN_KEY"], env["PLAIN"]) == ("s3cret-value", "1")
    assert env["ERNIE_DEPLOY_INSTANCE"].startswith("one:")
    assert "SOMEBODYS_TOKEN" not in env
    assert "MY_KEY" not in env
    assert "PYTHONPATH" not in env
    assert "ERNIE_DEPLOY_KEEPER" not in env
    for name in ("plan.json", "state.json", "events.jsonl", "profile.json", "profile.yaml"):
        assert "s3cret-value" not in (rig.instance() / name).read_text(), name
    for pid in (rig.engine(), rig.keeper()):
        assert b"s3cret-value" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"s3cret-value" not in Path(f"/proc/{rig.keeper()}/environ").read_bytes().replace(
        b"MY_KEY=s3cret-value", b""
    ), "only where the caller had put it"
    rig.down()


def test_the_engine_inherits_no_descriptor_of_ours(rig: Rig) -> None:

    rig.up()
    folder = f"/proc/{rig.engine()}/fd"
    links = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
    kinds = sorted(link.split(":")[0] for link in links if not link.startswith("/tmp/pytest"))
    assert kinds == ["/dev/null", "pipe", "pipe", "socket"], links
    rig.down()


def test_the_folder_of_the_caller_is_not_searched_for_modules(rig: Rig) -> None:
    """A `json.py` in the folder where a user calls `up --foreground` is not the keeper's."""
    folder = rig.folder / "elsewhere"
    (folder / "launcher").mkdir(parents=True)
    for name in ("json.py", "launcher/__init__.py"):
        (folder / name).write_text("raise SystemExit('the wrong one')\n")
    # Started as an installed command is: without the current folder in its path.
    code = "import sys; sys.path[:] = [p for p in sys.path if p]; "
    code += "from launcher.cli.main import invoke; sys.exit(invoke(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "up", rig.profile(), "--foreground"], text=True,
        cwd=folder, env=cli.environment(rig.home, rig.env), stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        rig.wait_for_state("ready")
    finally:
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    rig.nothing_left()


def test_two_instances_never_share_a_gpu_unknowingly(rig: Rig) -> None:
    card = f"GPU-{uuid.uuid4().hex}"
    rig.up("one", gpus=[card])
    second = rig.profile("two", gpus=[card])

    refused = rig.run("up", second, "--json")

    assert (refused.rc, rig.errors(refused)) == (3, ["gpu-shared"]), refused.output()
    problem = refused.json["errors"][0]
    owner = f"the instance one, which runs (keeper pid {rig.keeper('one')})"
    assert f"GPU {card} is used by {owner}" in problem["message"]
    assert "--force gpu-shared" in problem["remedy"]
    assert not rig.instance("two").exists()

    forced = rig.run("up", second, "--force", "gpu-shared", "--json")

    assert forced.rc == 0, forced.output()
    assert rig.stored("two")["forced"] == ["gpu-shared"]
    assert rig.run("down", "two").rc == 0
    restarted = rig.run("restart", rig.profile("one", gpus=[card]), "--json")
    assert restarted.rc == 0, "its own GPU is not an obstacle: " + restarted.output()
    rig.down("one")


def test_a_restart_onto_a_gpu_of_another_is_refused_while_it_serves(rig: Rig) -> None:
    card = f"GPU-{uuid.uuid4().hex}"
    rig.up("one", gpus=[card])
    rig.up("two")
    ran = rig.run("restart", rig.profile("two", gpus=[card]), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["gpu-shared"]), ran.output()
    assert rig.stored("two")["state"] == "ready"
    assert rig.run("down", "one").rc == 0
    rig.down("two")
