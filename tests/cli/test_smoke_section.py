"""A profile's `smoke:` section is judged before anything is started, with all the rest of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.cli.main import group
from launcher.profile.schema import schema
from launcher.smoke.check import all_checks
from launcher.smoke.section.rules import problems
from tests.support.rig import Rig

WRONG = """\
name: wrong
engine: transformers
model: baidu/ERNIE-4.5-0.3B-PT
smoke:
  checks: [heallth]
  tags: [quik]
  thresholds: {chatt: {latencyy: 30s}}
  expect: {chat: {matchs: x, matches: "("}}
  custom: [{foo: 1}]
  promises: [flying]
"""
EXPECTED = {
    "5:12": "smoke.checks.0: unknown check 'heallth'; did you mean 'health'?",
    "6:3": "smoke.tags.0: unknown tag 'quik'; did you mean 'quick'?",
    "7:16": "smoke.thresholds.chatt: unknown check 'chatt'; did you mean 'chat'?",
    "7:24": "smoke.thresholds.chatt.latencyy: unknown key; did you mean 'latency'?",
    "8:19": "smoke.expect.chat.matchs: unknown key; did you mean 'matches'?",
    "8:30": "smoke.expect.chat.matches: this is not a regular expression: ",
    "9:12": "smoke.custom.0.name: a check needs a name",
    "9:13": "smoke.custom.0.foo: unknown key",
    "10:3": "smoke.promises.0: unknown capability 'flying'",
}


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    return path


@pytest.mark.parametrize("verb", ["validate", "plan", "up", "smoke"])
def test_every_error_is_said_at_once_at_its_place(wrong: Path, verb: str) -> None:
    done = CliRunner().invoke(group, [verb, str(wrong), "--json"], standalone_mode=False)
    assert done.return_value == 2
    errors = json.loads(done.stdout.splitlines()[-1])["errors"]
    assert {e["code"] for e in errors} == {"bad-smoke-section"}
    for location, message in EXPECTED.items():
        assert any(
            e["where"] == f"{wrong}:{location}" and e["message"].startswith(message) for e in errors
        ), (location, message, errors)
    places = [tuple(map(int, e["where"].split(":")[1:])) for e in errors]
    assert places == sorted(places)


def test_it_comes_with_what_else_is_wrong(wrong: Path) -> None:
    wrong.write_text(WRONG.replace("smoke:", "max-num-seq: 4\nengine-args: {dtyp: x}\nsmoke:"))
    done = CliRunner().invoke(group, ["validate", str(wrong), "--json"], standalone_mode=False)
    codes = [e["code"] for e in json.loads(done.stdout)["errors"]]
    assert codes[:2] == ["unknown-key", "unknown-flag"]
    assert codes.count("bad-smoke-section") >= len(EXPECTED)


def test_a_value_from_the_command_line_is_placed_there(wrong: Path) -> None:
    wrong.write_text(WRONG.partition("smoke:")[0])
    arguments = ["validate", str(wrong), "--set", "smoke.checks=[heallth]", "--json"]
    done = CliRunner().invoke(group, arguments, standalone_mode=False)
    (error,) = json.loads(done.stdout)["errors"]
    assert error["where"] == "--set smoke.checks.0"


def test_of_an_instance_the_file_is_named_that_holds_the_section(rig: Rig) -> None:
    rig.up(smoke={"checks": ["health"]})
    path = rig.instance() / "profile.json"
    kept = path.read_text()
    with rig.paused_keeper():
        path.write_text(json.dumps({**json.loads(kept), "smoke": {"checks": ["heallth"]}}))
        ran = rig.run("smoke", "one", "--json")
        path.write_text(kept)
    assert ran.rc == 2, ran.output()
    assert [e["where"] for e in ran.json["errors"]] == [str(path)]
    rig.down()


def test_the_examples_of_the_reference_are_right() -> None:
    examples = {name: key.example for name, key in schema()["smoke"].keys.items()}
    assert examples["custom"]
    assert problems(examples, all_checks(), lambda path: None) == []


def test_judging_it_imports_no_client(wrong: Path) -> None:
    code = (
        "import sys\nfrom launcher.cli.options import load_profile\n"
        f"try: load_profile({str(wrong)!r}, (), (), None)\n"
        "except Exception as error: print(type(error).__name__, len(error.problems))\n"
        "print(*sorted({'requests', 'urllib3', 'openai', 'anthropic', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True
    )
    assert re.fullmatch(r"ProfileError \d+\n\n", done.stdout), done.stdout
