"""What a person sees on a real terminal: errors, lists, a start, and the state it is left in."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support import ROOT, cli
from tests.support.rig import Rig
from tests.support.terminals import Terminal, show, width

CHINESE = "\u4e2d\u6587"
WIDTHS = (40, 80, 200)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(
        f"engine: fastdeploy\nmodel: baidu/ERNIE-4.5-0.3B-Paddle\ndescription: {CHINESE}\n"
        "modle: x # in the parent\n"
    )
    return tmp_path


def profile(folder: Path, *lines: str) -> str:
    path = folder / "p.yaml"
    path.write_text("\n".join(("extends: base.yaml", "name: a", *lines, "")))
    return str(path)


def carets(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The quoted line and what the carets below it stand under, for each error."""
    for quoted, below in pairwise(lines):
        if not re.fullmatch(r" +\| +\^+", below):
            continue
        start = width(below[: below.index("^")])
        end = start + below.count("^")
        under, at = "", 0
        for character in quoted:
            if start <= at < end:
                under += character
            at += width(character)
        yield quoted, under


@pytest.mark.parametrize("columns", WIDTHS)
def test_an_error_shows_its_line_and_a_caret_below_the_place(folder: Path, columns: int) -> None:
    path = profile(
        folder,
        f"helth: {{x: {CHINESE}}}",
        f"env: {{A: {CHINESE * 40}, BAD-NAME: 1}}",
        'ports: {api: "x\ty", metrics: 99999999}',
    )
    screen = show("validate", path, columns=columns, home=folder)
    assert screen.rc == 2
    assert screen.clean
    under = [mark for _, mark in carets(screen.lines)]
    assert under == ["helth", "BAD-NAME", '"x    y"', "99999999", "modle"], screen.text
    assert f"--> {path}:3:1" in screen.text
    assert "4 | modle: x # in the parent" in screen.text, "of the parent the parent's line"
    for quoted, _ in carets(screen.lines):
        assert width(quoted) <= columns
    assert "help: did you mean `health`?" in screen.text


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_quoted_line_shows_no_secret(folder: Path, columns: int) -> None:
    path = profile(folder, "env: {BAIDU_AK: abc123, HF_TOKEN: |", "  s3cr3t", "}")
    broken = show("validate", path, columns=columns, home=folder)
    path = profile(folder, "env: {BAIDU_AK: abc123, nope: [1]}", "helth: 1")
    wrong = show("validate", path, columns=columns, home=folder)
    for screen in (broken, wrong):
        assert screen.rc == 2
        assert "abc123" not in screen.raw
        assert "s3cr3t" not in screen.raw
    assert [mark for _, mark in carets(wrong.lines)][:2] == ["[redacted]", "["]


def test_what_is_not_there_quotes_no_line(folder: Path) -> None:
    path = profile(folder)
    Path(path).write_text("engine: fastdeploy\nmodel: baidu/x\n")
    screen = show("validate", path, home=folder)
    assert "name: is required" in screen.text
    assert not list(carets(screen.lines))


def test_bytes_that_are_no_text_and_a_pipe_are_quoted_too(folder: Path) -> None:
    path = Path(profile(folder))
    path.write_bytes(b"name: a\nmodel: caf\xe9\x1b[2J\n")
    screen = show("validate", str(path), home=folder)
    assert "2 | model: caf\ufffd\\u001b[2J" in screen.text
    assert screen.clean


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("command", ["profiles list", "engine list", "explain", "smoke --list"])
def test_a_list_fits_and_has_headings(home: Path, command: str, columns: int) -> None:
    screen = show(*command.split(), columns=columns, home=home)
    assert screen.rc == 0
    first = next(line for line in screen.lines if line)
    assert re.fullmatch(r"[A-Z][A-Za-z ]*", first), first
    for line in screen.lines:
        # A path or a name that is longer than the terminal is not cut: it is what one types.
        assert width(line) <= columns or " " not in line.strip() or "engine is installed" in line


def test_profiles_are_listed_in_groups(home: Path) -> None:
    lines = show("profiles", "list", columns=120, home=home).lines
    groups = ["FastDeploy", "Other engines", "Hosted", "Tests (small enough for a CPU)"]
    assert [line for line in lines if line in groups] == groups
    line_of = {name: lines.index(name) for name in groups}
    tiny = next(i for i, line in enumerate(lines) if "ernie-tiny-cpu.yaml" in line)
    assert tiny > line_of[groups[3]]
    assert any("\u2026" in line for line in lines), "long values are cut"


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"CLICOLOR": "0"}, False)],
)
def test_colours_on_a_terminal(home: Path, env: dict[str, str], coloured: bool) -> None:
    for argv in (
        ["validate", "profiles/ernie-tiny-cpu.yaml"],
        ["status", "absent"],
        ["explain"],
    ):
        screen = show(*argv, home=home, env=env)
        assert screen.coloured is coloured, (argv, screen.raw)
        assert screen.clean


def test_a_pipe_gets_colours_only_where_they_are_forced(rig: Rig) -> None:
    plain = rig.run("validate", "profiles/ernie-tiny-cpu.yaml")
    rig.env["FORCE_COLOR"] = "1"
    forced = rig.run("validate", "profiles/ernie-tiny-cpu.yaml")
    assert "\x1b" not in plain.stdout
    assert re.sub(r"\x1b\[[\d;]*m", "", forced.stdout) == plain.stdout != forced.stdout
    as_json = rig.run("validate", "profiles/ernie-tiny-cpu.yaml", "--json")
    assert "\x1b" not in as_json.stdout
    json.loads(as_json.stdout)


@pytest.mark.parametrize("line", ["--version", "status", "validate profiles/ernie-tiny-cpu.yaml"])
def test_a_pipe_imports_nothing_of_the_terminal(rig: Rig, line: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "launcher", *line.split()], text=True,
        capture_output=True, env=cli.environment(rig.home), cwd=ROOT, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    screen = {"terminal", "table", "frames", "paint", "screens", "live"}
    assert not imported & {"rich", "pyte", "curses", *(f"launcher.report.{one}" for one in screen)}


def gated(rig: Rig) -> dict[str, object]:
    """A start that stays at 45 % of its weights until a file is there."""
    before = [{"print": "PHASE weights 45%"}, {"wait": rig.path("go")}]
    return {"before": before}


@pytest.mark.parametrize("columns", WIDTHS)
def test_up_shows_one_live_line(rig: Rig, columns: int) -> None:
    path = rig.profile("one", gated(rig))
    terminal = Terminal("up", path, columns=columns, home=rig.home, env=rig.env)
    terminal.read_until(lambda raw: len(re.findall(r"load weights 45 %", raw)) > 3)
    drawn = terminal.raw.rpartition("\r\x1b[K")[2]
    assert width(drawn) < columns
    terminal.resize(columns // 2)
    terminal.read_until(lambda raw: "load w" in raw.rpartition("load weights 45 %")[2] or raw)
    Path(rig.path("go")).touch()
    screen = terminal.finish()
    assert screen.rc == 0
    assert screen.clean
    assert "\x1b[?25l" not in screen.raw, "the cursor is never hidden"
    order = ["started", "loaded       load weights (", "listening", "ready", "one is ready"]
    positions = [next(i for i, line in enumerate(screen.lines) if word in line) for word in order]
    assert positions == sorted(positions), screen.text
    assert "45 %" not in screen.text, "the live line is gone"
    rig.down()


def test_up_tells_the_time_that_earlier_starts_took(rig: Rig) -> None:
    rig.up()
    rig.down()
    with (rig.instance() / "events.jsonl").open("a") as file:
        file.write('{"time": "x"}\n[\n{"event": "state", "time": NaN, "state": "ready"}\n')
    terminal = Terminal("up", rig.profile("one", gated(rig)), home=rig.home, env=rig.env)
    terminal.read_until(lambda raw: re.search(r"45 %.{0,8}  of about \d", raw))
    Path(rig.path("go")).touch()
    assert terminal.finish().rc == 0
    rig.down()


def test_ctrl_c_leaves_the_terminal_clean(rig: Rig) -> None:
    path = rig.profile("one", gated(rig))
    terminal = Terminal("up", path, home=rig.home, env=rig.env)
    terminal.read_until(lambda raw: "load weights 45 %" in raw)
    terminal.interrupt()
    screen = terminal.finish()
    assert screen.rc == 130
    assert screen.clean
    assert "error[interrupted]" in screen.text
    rig.nothing_left()


def test_a_start_that_fails_leaves_the_terminal_clean(rig: Rig) -> None:
    path = rig.profile("one", {"before": [{"print": "PHASE weights 45%"}, {"exit": 3}]})
    screen = show("up", path, home=rig.home, env=rig.env)
    assert screen.rc == 4
    assert screen.clean
    assert "45 %" not in screen.text


def test_a_terminal_that_cannot_redraw_gets_lines(rig: Rig) -> None:
    rig.env["TERM"] = "dumb"
    screen = show("up", rig.profile(), home=rig.home, env=rig.env)
    assert screen.rc == 0
    assert "\x1b" not in screen.raw
    assert "\r\x1b" not in screen.raw.replace("\r\n", "")
    rig.down()


@pytest.mark.parametrize("columns", WIDTHS)
def test_smoke_shows_which_check_runs(rig: Rig, columns: int) -> None:
    rig.up()
    command = ("smoke", "one", "--check", "health", "--check", "models")
    screen = show(*command, columns=columns, home=rig.home, env=rig.env)
    assert re.search(r"\d\.\d s  check 1 of 2  health", screen.raw), screen.raw
    assert "check 2 of 2" in screen.raw
    assert screen.clean
    assert "check 1 of 2" not in screen.text, "the live line is gone"
    dumb = show(*command, home=rig.home, env={**rig.env, "TERM": "dumb"})
    assert "  1 of 2  health: pass" in dumb.text
    rig.down()


def test_status_lists_with_headings_and_colours(rig: Rig) -> None:
    rig.up()
    screen = show("ps", columns=60, home=rig.home, env=rig.env)
    assert screen.lines[0].split() == ["NAME", "STATE", "ENGINE", "FOR", "URL"]
    assert "\x1b[32mready\x1b[0m" in screen.raw
    assert screen.rc == 0
    rig.down()
