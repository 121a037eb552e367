"""A result is written once: as JSON, as plain text, or as a terminal shows it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout

import pytest

from launcher.errors import ExitCode, Problem
from launcher.report import screens
from launcher.report.emit import emit
from launcher.result import Result
from tests.report.verb_results import launch, plan_of
from tests.support.payloads import result
from tests.support.terminals import VARIABLES

ROWS = [
    {"name": "one", "state": "ready", "engine": "vllm", "release": "0.32", "base_url": "http://u"},
    {"name": "two", "state": "failed", "note": "it died"},
]


class Tty(io.StringIO):
    """A stream that a person sees."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def written(answer: Result[object], stream: type[io.StringIO], *, as_json: bool) -> tuple[str, str]:
    with redirect_stdout(stream()) as out, redirect_stderr(stream()) as err:
        emit(answer, as_json=as_json)
    return out.getvalue(), err.getvalue()


def status(*errors: Problem) -> Result[object]:
    code = ExitCode.NEGATIVE if errors else ExitCode.DONE
    return Result("status", result("status", {"instances": ROWS}).data, None, code, errors)


def test_json_is_one_line_and_all_there_is() -> None:
    out, err = written(status(Problem("not-ready", "it is not")), io.StringIO, as_json=True)
    assert err == ""
    (line,) = out.splitlines()
    envelope = json.loads(line)
    assert envelope["command"] == "status"
    assert envelope["exit_code"] == 1
    assert [row["name"] for row in envelope["data"]["instances"]] == ["one", "two"]
    assert [error["code"] for error in envelope["errors"]] == ["not-ready"]


def test_a_pipe_gets_plain_text_and_the_errors_beside_it() -> None:
    out, err = written(status(Problem("not-ready", "it is not")), io.StringIO, as_json=False)
    assert "\x1b" not in out + err
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "one", "two"]
    assert err == "ernie-deploy: it is not\n"


def test_a_terminal_gets_the_screen_of_the_verb() -> None:
    out, _ = written(status(), Tty, as_json=False)
    assert "NAME" in out.splitlines()[0]
    assert "\x1b[" in out


def test_a_verb_without_a_screen_is_painted() -> None:
    answer = result("doctor", {
        "findings": [{"check": "ports", "title": "t", "status": "FAIL", "evidence": "taken",
                      "reason": "r", "remedy": "stop it", "fast": True}],
        "counts": {"PASS": 0, "WARN": 0, "FAIL": 1, "UNKNOWN": 0},
    })  # fmt: skip
    plain, _ = written(answer, io.StringIO, as_json=False)
    terminal_text, _ = written(answer, Tty, as_json=False)
    assert "\x1b" not in plain
    assert "FAIL" in plain
    assert "\x1b[" in terminal_text
    assert "FAIL" in terminal_text


def test_a_plan_says_that_a_paused_engine_is_not_ready() -> None:
    readiness = {"health_path": "/health", "completion_path": "/v1/completions"}
    for path, count in (("/v1/is_paused", 1), (None, 0)):
        answer = plan_of(launch(readiness={**readiness, "paused_path": path}))
        out, _ = written(answer, io.StringIO, as_json=False)
        assert out.count("does not say that the engine is paused") == count
        assert out.count("/v1/is_paused") == count


@pytest.mark.parametrize(
    ("engine", "model", "group"),
    [
        ("fastdeploy", "baidu/ERNIE-4.5-0.3B", 0),
        ("vllm", "baidu/ERNIE-4.5-0.3B", 1),
        ("invented", "baidu/ERNIE-4.5-0.3B", 1),
        ("hosted", "baidu/ernie-4.5", 2),
        ("vllm", "/x/profiles/tiny-ernie", 3),
    ],
)
def test_a_shipped_profile_stands_below_its_group(engine: str, model: str, group: int) -> None:
    row = {"file": "a.yaml", "engine": engine, "model": model, "shipped": True}
    out, _ = written(result("profiles list", {"profiles": [row]}), Tty, as_json=False)
    headings = [line for line in out.splitlines() if any(g in line for g in screens.GROUPS)]
    assert len(headings) == 1
    assert screens.GROUPS[group] in headings[0]
