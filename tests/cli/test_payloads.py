"""The JSON of the real verbs is that of their payloads, key for key."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.codec import decode, encode
from tests.smoke.defects import DEFECTS
from tests.smoke.servers import serve
from tests.support import ROOT
from tests.support.cli import Ran
from tests.support.payloads import kind_of
from tests.support.rig import Rig

PROFILE = str(ROOT / "profiles" / "ernie-tiny-cpu.yaml")
CARD = str(ROOT / "profiles" / "ernie-4.5-21b-a3b-thinking.yaml")


def check(ran: Ran) -> None:
    envelope = ran.json
    command, data = envelope["command"], envelope["data"]
    assert data, ran.output()
    again = encode(decode(kind_of(command, data), data, command))
    assert json.dumps(again) == json.dumps(data), "the order of the keys, too"


@pytest.mark.parametrize(
    "arguments",
    [
        ("version",),
        ("completion", "bash"),
        ("status",),
        ("profiles", "list"),
        ("profiles", "show", PROFILE),
        ("profiles", "show", PROFILE, "--origins"),
        ("profiles", "schema"),
        ("profiles", "diff-release", CARD, "2.2", "2.4"),
        ("engine", "list"),
        ("validate", CARD, "--engine-version", "2.4"),
        ("plan", CARD, "--engine-version", "2.4"),
        ("plan", CARD, "--memory", "--gpu", "h800-80g", "--max"),
        ("render", "compose", CARD),
        ("diff", CARD),
        ("doctor",),
        ("explain",),
        ("explain", "ED-FD-CUDA-OOM"),
        ("explain", "leftovers"),
        ("explain", "shm-size"),
        ("explain", "does-not-start"),
        ("explain", "exit-code", "4"),
        ("smoke", "--list"),
        ("drill", "--list"),
        ("down", "no-such-instance"),
    ],
    ids=" ".join,
)
def test_of_a_verb(arguments: tuple[str, ...], run_cli: Callable[..., Ran]) -> None:
    check(run_cli(*arguments, "--json"))


def test_of_a_written_profile(run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    check(run_cli("profiles", "init", "-o", str(tmp_path / "p.yaml"), "--json"))


def test_of_runs_against_a_server(run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    prompts, baseline = tmp_path / "prompts.json", tmp_path / "baseline.json"
    prompts.write_text(json.dumps({"prompts": [{"prompt": "Hello!", "call": None}]}))
    compare = ("--check", "chat", "--prompts", str(prompts), "--gpu-hour", "2")
    with serve() as server, serve(DEFECTS["usage-missing"]) as broken:
        for arguments in (
            ("smoke", server.url, "--check", "chat", "--check", "stream-order", "--repeat", "2"),
            ("smoke", broken.url, "--check", "usage", "--client", "all", "--promise", "tools"),
            ("smoke", server.url, "--tag", "full", "--budget", "100ms"),
            ("compare", server.url, broken.url, *compare, "--save-baseline", str(baseline)),
            ("compare", broken.url, *compare, "--check", "usage", "--baseline", str(baseline)),
        ):
            check(run_cli(*arguments, "--json"))


def test_of_a_server_that_is_not_there(run_cli: Callable[..., Ran], free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    for command in ("smoke", "compare"):
        check(run_cli(command, url, "--model", "m", "--check", "chat", "--json"))


def test_of_the_verbs_of_an_instance(rig: Rig) -> None:
    rig.up()
    for arguments in (
        ("up", str(rig.profile())), ("status", "one"), ("diagnose", "one"), ("logs", "one"),
        ("logs", "one", "--sources"), ("plan", str(rig.profile())), ("restart", "one"),
        ("down", "one"), ("down", "one"), ("status", "one"), ("diagnose", "one"),
    ):  # fmt: skip
        check(rig.run(*arguments, "--json"))
