"""The lists and live lines of a terminal, rendered without one."""

import io

import pytest

from launcher.report import screens
from launcher.report.progress import ProgressLines
from launcher.report.smoke_progress import SmokeProgress
from launcher.report.table import Column, table
from launcher.report.terminal import Terminal
from tests.support.payloads import result

SCREEN = Terminal(laid_out=True, colour=False, live=True, width=80, ellipsis="...")


def test_values_of_a_column_begin_below_each_other_and_nothing_trails() -> None:
    lines = table(SCREEN, (Column("NAME", None), Column("STATE")), [("a", "ready"), ("bcd", "x")])
    assert lines == ["NAME  STATE", "a     ready", "bcd   x"]


def test_the_status_of_several_instances_is_a_table() -> None:
    rows = [
        {"name": "one", "state": "ready", "engine": "vllm", "release": "0.32", "base_url": "u"},
        {"name": "two", "state": "loading", "percent": 41.6},
        {"name": "gone", "state": "absent", "note": "not started"},
    ]
    text = screens.status(result("status", {"instances": rows}), SCREEN)
    assert text is not None
    lines = text.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "ENGINE", "URL"]
    assert lines[1].split() == ["one", "ready", "vllm", "0.32", "u"]
    assert lines[2].split() == ["two", "loading", "42", "%"]
    assert lines[-1] == "gone: not started"
    assert screens.status(result("status", {"instances": []}), SCREEN) is None
    assert screens.status(result("status", {"instances": rows[:1]}, "one"), SCREEN) is None


def test_profiles_stand_below_their_group_and_broken_ones_last() -> None:
    rows = [
        {"file": "b.yaml", "engine": "vllm", "model": "a/b", "description": "About b"},
        {"file": "wrong.yaml", "problem": "name: is required"},
    ]
    text = screens.profiles(result("profiles list", {"profiles": rows}), SCREEN)
    assert text is not None
    lines = text.splitlines()
    assert lines[0].split() == ["FILE", "ENGINE", "MODEL", "ABOUT"]
    assert lines[1] in (*screens.GROUPS, screens.HERE)
    assert lines[2].split() == ["b.yaml", "vllm", "a/b", "About", "b"]
    assert lines[3:] == ["", "Not profiles by themselves", "wrong.yaml  name: is required"]


@pytest.mark.parametrize(
    ("expected", "elapsed", "tail"),
    [
        (None, 100.0, ""),
        (9.94, 1.0, "  of about 9.9 s, as earlier starts took"),
        (10.0, 20.0, "  of about 10 s, as earlier starts took"),
        (10.0, 20.5, "  slower than usual: earlier starts took 10 s"),
        (119.6, 1.0, "  of about 120 s, as earlier starts took"),
        (120.0, 1.0, "  of about 2 min, as earlier starts took"),
    ],
)
def test_the_live_line_of_a_start_says_what_is_usual(
    expected: float | None, elapsed: float, tail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.report.progress.time.monotonic", lambda: 50.0)
    lines = ProgressLines(io.StringIO())
    lines._expected, lines._verb = expected, "loading"
    lines._last_event = (elapsed, 50.0)
    assert lines._live_text(SCREEN) == f"{elapsed:7.1f} s  loading{tail}"
    lines._verb = "stopping"
    assert lines._live_text(SCREEN) == f"{elapsed:7.1f} s  stopping"


def test_the_live_line_of_a_smoke_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.report.smoke_progress.time.monotonic", lambda: 50.0)
    progress = SmokeProgress(io.StringIO())
    progress._total = 3
    assert progress._text(SCREEN) == "    0.0 s  check 1 of 3"
    progress._running = {"chat": 2.0, "health": 1.0}
    assert progress._text(SCREEN) == "    0.0 s  check 1 of 3  health, chat"
    progress._ended, progress._failed = 3, 1
    assert progress._text(SCREEN) == "    0.0 s  check 3 of 3  1 not passed  health, chat"


@pytest.mark.parametrize(
    ("engine", "model", "group"),
    [
        ("fastdeploy", "baidu/ERNIE-4.5-0.3B-PT", screens.GROUPS[0]),
        ("vllm", "baidu/ERNIE-4.5-0.3B-PT", screens.GROUPS[1]),
        ("somebodys", "baidu/ERNIE-4.5-0.3B-PT", screens.GROUPS[1]),
        ("hosted", "ernie-4.5-turbo", screens.GROUPS[2]),
        ("fastdeploy", "/models/ernie-tiny", screens.GROUPS[3]),
        ("vllm", "ernie-tiny", screens.GROUPS[3]),
        ("vllm", "/tiny/ERNIE-4.5-0.3B-PT", screens.GROUPS[1]),
    ],
)
def test_a_profile_stands_below_what_it_needs(engine: str, model: str, group: str) -> None:
    row = {"file": "a.yaml", "engine": engine, "model": model}
    text = screens.profiles(result("profiles list", {"profiles": [row]}), SCREEN)
    assert text is not None
    assert text.splitlines()[1] == group


def test_checks_stand_below_their_theme_with_one_line_of_headings() -> None:
    def a_check(name: str, tag: str) -> dict[str, object]:
        return {"name": name, "tags": [tag], "purpose": f"proves {name}", "requires": []}

    tags = {"quick": "in a minute", "tools": "tool calls"}
    checks = [a_check("chat", "quick"), a_check("call", "tools")]
    text = screens.smoke(result("smoke", {"tags": tags, "checks": checks}), SCREEN)
    assert text is not None
    lines = text.splitlines()
    assert lines[0].split() == ["CHECK", "WHAT", "IT", "PROVES", "NEEDS"]
    assert lines[1] == "--tag quick: in a minute"
    assert lines[2].split() == ["chat", "proves", "chat", "nothing"]
    assert lines[4] == "--tag tools: tool calls"
    assert lines[5].split() == ["call", "proves", "call", "nothing"]


def test_checks_of_another_theme_that_the_default_also_runs_are_named() -> None:
    tags = {"quick": "in a minute", "tools": "tool calls"}
    checks = [
        {"name": name, "tags": tags_of_one, "purpose": "proves", "requires": []}
        for name, tags_of_one in (("chat", ["quick"]), ("call", ["quick", "tools"]))
    ]
    text = screens.smoke(result("smoke", {"tags": tags, "checks": checks}), SCREEN)
    assert text is not None
    assert "--tag quick, the default, also runs call." in text.splitlines()
    text = screens.smoke(result("smoke", {"tags": tags, "checks": checks[:1]}), SCREEN)
    assert text is not None
    assert "also runs" not in text


def test_a_long_line_goes_on_below_its_last_column() -> None:
    long_text = "word " * 30
    lines = screens.wrapped(f"ID   PASS  {long_text}", SCREEN).split("\n")
    assert all(line.startswith(" " * 11 + "word") for line in lines[1:])
    lines = screens.wrapped(long_text, SCREEN).split("\n")
    assert [line[:5] for line in lines[1:]] == ["    w"] * (len(lines) - 1)
    command = f"    do: ernie-deploy {long_text}"
    assert screens.wrapped(command, SCREEN) == command
