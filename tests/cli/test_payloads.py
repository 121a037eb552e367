"""The JSON of the real verbs is that of their payloads, key for key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.codec import decode, encode
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
    assert encode(decode(kind_of(command, data), data, command)) == data


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


def test_of_the_verbs_of_an_instance(rig: Rig) -> None:
    rig.up()
    for arguments in (
        ("up", str(rig.profile())), ("status", "one"), ("diagnose", "one"), ("logs", "one"),
        ("logs", "one", "--sources"), ("plan", str(rig.profile())), ("restart", "one"),
        ("down", "one"), ("down", "one"), ("status", "one"), ("diagnose", "one"),
    ):  # fmt: skip
        check(rig.run(*arguments, "--json"))
