"""The short way of `status` and `validate`: the same answers as click's, and never a wrong word."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from launcher.cli.quick import VERBS, run_quick
from tests.support import ROOT, cli
from tests.support.keeping import Keeping

PROFILE = "profiles/ernie-4.5-21b-a3b-thinking.yaml"
CLICK = "import sys; from launcher.cli.main import invoke; sys.exit(invoke(sys.argv[1:]))"

LINES = (
    ["status"],
    ["status", "--json"],
    ["status", "absent"],
    ["status", "absent", "--json"],
    ["status", "--json", "absent"],
    ["status", "Bad Name"],
    ["status", PROFILE],
    ["validate", PROFILE],
    ["validate", PROFILE, "--json"],
    ["validate", "--json", PROFILE, "--json"],
    ["validate", "profiles/absent.yaml"],
    ["validate", "pyproject.toml", "--json"],
    ["probe", "absent", "--live"],
    ["probe", "--ready", "absent", "--json"],
    ["probe", PROFILE, "--startup"],
)
LEFT_TO_CLICK: tuple[list[str], ...] = (
    [],
    ["--version"],
    ["status", "a", "b"],
    ["status", ""],
    ["status", "--help"],
    ["status", "-h"],
    ["status", "--", "a"],
    ["validate"],
    ["validate", PROFILE, "--set", "port=1"],
    ["validate", "--name", "x", PROFILE],
    ["probe", "a"],
    ["probe", "--live"],
    ["probe", "a", "b", "--live"],
    ["probe", "a", "--live", "--ready"],
    ["probe", "a", "--live", "--live"],
    ["probe", "a", "--live", "--timeout", "1s"],
    ["status", "--live"],
    ["up", PROFILE],
    ["--json", "status"],
)
"""Not for the short way: click answers them, wrong ones included."""


@pytest.mark.parametrize("arguments", LINES, ids=" ".join)
def test_the_answer_is_that_of_click(arguments: list[str], tmp_path: Path) -> None:
    env = cli.environment(tmp_path)
    by_click = subprocess.run(
        [sys.executable, "-c", CLICK, *arguments], env=env, cwd=ROOT, capture_output=True
    )
    ours = subprocess.run(cli.argv(*arguments), env=env, cwd=ROOT, capture_output=True)
    assert ours.returncode == by_click.returncode
    assert ours.stdout == by_click.stdout
    assert ours.stderr == by_click.stderr


@pytest.mark.parametrize("arguments", LEFT_TO_CLICK, ids=" ".join)
def test_every_other_line_is_left_to_click(arguments: list[str]) -> None:
    assert run_quick(arguments) is None


def test_completion_is_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ERNIE_DEPLOY_COMPLETE", "bash_complete")
    assert run_quick(["status"]) is None


@pytest.mark.parametrize("arguments", [["status"], ["validate", PROFILE]], ids=" ".join)
def test_neither_click_nor_http_nor_mail_nor_a_plan_is_imported(
    arguments: list[str], tmp_path: Path
) -> None:
    """What a verb imports is what it costs; `-X importtime` lists it."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "launcher", *arguments],
        env=cli.environment(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "launcher.report.emit" in loaded
    heavy = {"click", "requests", "urllib3", "http.client", "email", "ssl", "asyncio",
             "launcher.plan.model"}  # fmt: skip
    assert not loaded & heavy


@pytest.mark.parametrize("verb", VERBS)
def test_a_reader_that_goes_away_is_no_error(verb: str, tmp_path: Path) -> None:
    arguments = {"validate": [verb, PROFILE], "probe": [verb, "one", "--live"]}.get(verb, [verb])
    instances = tmp_path / "instances"
    instances.mkdir()
    read, write = os.pipe()
    os.close(read)
    answering = closing(Keeping(instances / "one")) if verb == "probe" else nullcontext()
    with os.fdopen(write, "wb") as pipe, answering:
        ran = subprocess.run(
            cli.argv(*arguments),
            env=cli.environment(tmp_path),
            cwd=ROOT,
            stdout=pipe,
            stderr=subprocess.PIPE,
        )
    assert ran.returncode == 0
    assert ran.stderr == b""
