"""What a stream can show, and text that fits it."""

import io
import os
import pty
from collections.abc import Iterator

import pytest

from launcher.report import terminal
from launcher.report.table import Column, table
from launcher.report.terminal import Terminal, clip, wrap
from tests.support.terminals import VARIABLES, width

WIDE = "\u4f60\u597d"


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.TextIOWrapper]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        yield stream
    os.close(master)


@pytest.mark.parametrize(
    ("env", "on_terminal", "in_pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR": "0"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
def test_colours_follow_the_conventions(
    tty: io.TextIOWrapper,
    monkeypatch: pytest.MonkeyPatch,
    env: dict[str, str],
    on_terminal: bool,
    in_pipe: bool,
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert terminal.of(tty).colour is on_terminal
    assert terminal.of(tty).live is (env.get("TERM") != "dumb")
    pipe = terminal.of(io.StringIO())
    assert (pipe.colour, pipe.laid_out, pipe.live) == (in_pipe, False, False)


def test_a_terminal_without_a_width_has_80_columns(tty: io.TextIOWrapper) -> None:
    assert terminal.of(tty).width == 80


def test_a_stream_that_cannot_show_an_ellipsis_gets_dots(tty: io.TextIOWrapper) -> None:
    tty.reconfigure(encoding="ascii")
    assert terminal.of(tty).ellipsis == "..."


@pytest.mark.parametrize(
    ("text", "columns", "cut"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd\u2026"),
        (WIDE * 3, 12, WIDE * 3),
        (WIDE * 3, 11, WIDE * 2 + "\u4f60\u2026"[:0] + "\u4f60\u2026"),
        (WIDE * 3, 6, WIDE + "\u2026"),
        ("e\u0301" * 5, 5, "e\u0301" * 5),
        ("abc", 1, "\u2026"),
        ("abc", 0, ""),
    ],
)
def test_text_is_cut_by_the_columns_it_takes(text: str, columns: int, cut: str) -> None:
    assert clip(text, columns, "\u2026") == cut
    assert width(cut) <= columns


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_text_is_broken_at_spaces_and_chinese_anywhere(columns: int) -> None:
    text = f"words of {WIDE * 30} and `a command --with options` " + "more words " * 9
    lines = wrap(text, columns, "  ")
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert any("`a command --with options`" in line for line in lines)
    assert all(width(line) <= max(columns, 28) for line in lines)


def plain(columns: int) -> Terminal:
    return Terminal(laid_out=True, colour=False, live=True, width=columns, ellipsis="\u2026")


@pytest.mark.parametrize("columns", [30, 40, 80, 200])
def test_a_table_fits_and_never_cuts_what_is_typed(columns: int) -> None:
    heads = (Column("FILE", None), Column("MODEL", 8, 2), Column("ABOUT", 10, 1))
    rows = [("profiles/ernie.yaml", "baidu/" + "x" * 50, f"{WIDE} " * 20), ("b.yaml", "m", "b")]
    lines = table(plain(columns), heads, rows)
    assert all(width(line) <= columns for line in lines), lines
    assert lines[0].startswith("FILE")
    assert lines[1].startswith("profiles/ernie.yaml")
    assert ("MODEL" in lines[0], "ABOUT" in lines[0]) == (columns >= 80, columns > 30)


def test_a_table_has_no_place_for_escapes_and_line_breaks() -> None:
    (_, line) = table(plain(80), (Column("A"),), [("x\x1b]52;c;aGk=\x07y\nz\u202e",)])
    assert line == "xy z\\u202e"


def test_an_empty_column_is_left_out() -> None:
    assert table(plain(80), (Column("A"), Column("B")), [("1", ""), ("2", "")]) == ["A", "1", "2"]
