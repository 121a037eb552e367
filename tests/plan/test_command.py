"""A plan as something that can be run, stored and pasted into a shell."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher.codec import encode, encode_object
from launcher.json_values import JsonValue, object_at
from launcher.plan.command import environment, shell_line
from launcher.plan.environment import PASS_ENV
from launcher.plan.model import (
    Deadlines,
    EnvVar,
    ExitCodeSource,
    FailureRule,
    Flag,
    FtokKey,
    LaunchPlan,
    Leftovers,
    LogSource,
    Phase,
    PhaseRule,
    PortUse,
    Readiness,
    SettingCheck,
    StopPolicy,
    StopStage,
    read_plan,
)


def plan(**changes: Any) -> LaunchPlan:
    full_plan = LaunchPlan(
        instance="one", engine="scripted", release="1.0",
        argv=("/opt/engine/bin/python", "-m", "x"), cwd="/tmp",
        log_folder="/logs", temporary_folder="/tmp/ed-x", pass_env=PASS_ENV,
    )  # fmt: skip
    return dataclasses.replace(full_plan, **changes)


FULL = plan(
    module=("-m", "x"),
    flags=(Flag("--port", ("80",), "why", "file:1:2", "ports.api"),),
    env=(EnvVar("A", "1", "why"),),
    secrets={"KEY": "env:KEY"},
    ports=(PortUse("api", 80, "127.0.0.1", "API"),),
    gpus=("0", "1"),
    log_sources=(LogSource("engine"), LogSource("worker", "worker*.log")),
    phases=(Phase("a", "A"),),
    phase_rules=(PhaseRule("a", "x"),),
    failure_rules=(FailureRule("ED-X", "x", "y", "z", exit_code=3),),
    noise=("n",),
    readiness=Readiness(
        "::", model="m", completion={"messages": [{"role": "user"}]},
        settings=(SettingCheck("k", 5, "a/b"),),
    ),
    stop=StopPolicy(loading=(StopStage("SIGINT", "group", 3.5),), drain=2.0),
    leftovers=Leftovers(("shm",), (FtokKey("/opt", 5),), ("/tmp/fd_*",)),
    exit_codes=(ExitCodeSource("launch", "code"),),
    vital=("worker",),
    folders=("/a",),
    deadlines=Deadlines(1.0, 2.0, 3.0),
    allow_differences=("k",),
    notes=("n",),
)  # fmt: skip


@pytest.mark.parametrize("full_plan", [plan(), FULL], ids=["small", "full"])
def test_a_plan_survives_json(full_plan: LaunchPlan) -> None:
    assert read_plan(json.loads(json.dumps(encode(full_plan)))) == full_plan


def test_keys_of_a_newer_writer_are_ignored_everywhere() -> None:
    data = encode_object(FULL)
    data["invented"] = 1
    data["readiness"] = {**object_at(data, "readiness"), "invented": 2}
    assert read_plan(data) == FULL


@pytest.mark.parametrize("schema", [None, "ernie-deploy/plan/2", 1])
def test_a_plan_of_another_schema_is_refused(schema: JsonValue) -> None:
    with pytest.raises(ValueError, match="schema"):
        read_plan({**encode_object(FULL), "schema": schema})


def test_a_port_has_a_name() -> None:
    assert FULL.port("api").number == 80
    with pytest.raises(KeyError):
        FULL.port("metrics")


def test_only_what_is_listed_is_passed_on() -> None:
    caller = {"PATH": "/bin", "LC_ALL": "C", "NVIDIA_DRIVER": "x", "MY_TOKEN": "s", "LANG": "C"}
    env = environment(plan(), caller, {})
    assert set(env) == {"PATH", "LC_ALL", "NVIDIA_DRIVER", "LANG"}
    assert env["PATH"] == "/opt/engine/bin:/bin", "its own tools come first"


def test_the_plan_wins_over_the_caller_and_a_secret_over_the_plan() -> None:
    variables = plan(
        env=(EnvVar("LANG", "C.UTF-8"), EnvVar("KEY", "plain"), EnvVar("PATH", "/mine"))
    )
    env = environment(variables, {"LANG": "de", "PATH": "/bin"}, {"KEY": "secret"})
    assert env == {"LANG": "C.UTF-8", "KEY": "secret", "PATH": "/mine"}


@pytest.mark.parametrize("name", ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"])
def test_systemds_messages_never_reach_an_engine(name: str) -> None:
    variables = plan(pass_env=("*",))
    assert name not in environment(variables, {name: "x"}, {})


def test_the_line_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    """Words with blanks, quotes and dollars arrive as they are; secrets by their references."""
    key = tmp_path / "key file"
    key.write_text("from-a-file")
    parts = ("a b", "it's", "$HOME", "*", '{"json": "x"}')
    variables = plan(
        argv=("/usr/bin/env", "python3", "-c",
              "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))", *parts),
        cwd=str(tmp_path), env=(EnvVar("PLAIN", "a $b 'c'"), EnvVar("HUB", "/tmp/ed-x/hub")),
        log_folder=str(tmp_path / "a" / "logs"), folders=("/tmp/ed-x/hub",),
        secrets={"ONE": "env:OUTSIDE", "TWO": f"file:{key}", "THREE": "cmd:echo from-a-command"},
    )  # fmt: skip
    line = shell_line(variables)
    assert "from-a-file" not in line
    ran = subprocess.run(
        ["sh", "-c", line], env={"PATH": "/usr/local/bin:/usr/bin:/bin", "OUTSIDE": "from-outside"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    argv, env = json.loads(ran.stdout)
    assert argv == list(parts)
    assert env["PLAIN"] == "a $b 'c'"
    assert [env[n] for n in ("ONE", "TWO", "THREE")] == [
        "from-outside", "from-a-file", "from-a-command",
    ]  # fmt: skip
    hub = Path(env["HUB"])
    assert hub.is_dir(), "in a temporary folder of its own"
    for path in (hub.parent, tmp_path / "a", tmp_path / "a" / "logs"):
        assert path.stat().st_mode & 0o777 == 0o700, path
    hub.rmdir()
    hub.parent.rmdir()


def test_a_wrong_field_is_named() -> None:
    data = {**encode_object(FULL), "ports": [{"name": "api", "number": "x", "address": "::"}]}
    with pytest.raises(ValueError, match=r"^plan\.ports\[0\]\.number: expected a whole number"):
        read_plan(data)
