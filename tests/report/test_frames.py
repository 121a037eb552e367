"""An error's frame: whatever the line holds, the caret stands below the place and all fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import Problem
from launcher.profile import source
from launcher.report.frames import frames
from launcher.report.terminal import Terminal
from tests.support.terminals import width

SIGNS = "ab:-{}, \t\u4e2d\u6587e\u0301\u200b\x1b\u202e\x00\U0001f642"


def plain(columns: int) -> Terminal:
    return Terminal(laid_out=True, colour=False, live=True, width=columns, ellipsis="\u2026")


def quoted(text: str, line: int, column: int, columns: int) -> list[str]:
    """The frame of an error at a place of the file `p.yaml`."""
    source._read["p.yaml"] = text
    try:
        problem = Problem("wrong", "no", f"p.yaml:{line}:{column}")
        return frames([problem], plain(columns)).split("\n")
    finally:
        del source._read["p.yaml"]


@given(
    before=st.text(SIGNS, max_size=90),
    after=st.text(SIGNS, max_size=90),
    columns=st.sampled_from([20, 40, 80, 200]),
)
def test_the_caret_stands_below_the_place(before: str, after: str, columns: int) -> None:
    lines = quoted(f"{before}X{after}", 1, len(before) + 1, columns)
    source_line, caret = lines[3].removeprefix("1 | "), lines[4].removeprefix("  | ")
    at = width(caret[: caret.index("^")])
    passed, under = 0, ""
    for sign in source_line:
        if passed == at and width(sign):
            under = sign
            break
        passed += width(sign)
    assert under == "X", (lines[3], lines[4])
    assert all(width(line) <= columns for line in lines[2:])


def test_a_line_that_just_fits_is_whole_and_a_longer_one_fills_the_width() -> None:
    assert quoted("x" * 36, 1, 1, 40)[3] == "1 | " + "x" * 36
    assert quoted("x" * 37, 1, 1, 40)[3] == "1 | " + "x" * 35 + "\u2026"
    assert quoted("x" * 37, 1, 37, 40)[3] == "1 | \u2026" + "x" * 35
    assert quoted("\n" * 99 + "x" * 34, 100, 1, 40)[3] == "100 | " + "x" * 34


@pytest.mark.parametrize("where", ["p.yaml:9:1", "p.yaml:0:0", "other.yaml:1:1", "--set a.b", None])
def test_a_place_that_is_not_known_quotes_nothing(where: str | None) -> None:
    source._read["p.yaml"] = "a: 1"
    try:
        text = frames([Problem("wrong", "no", where, "do `this`")], plain(80))
    finally:
        del source._read["p.yaml"]
    assert text.split("\n")[0] == "error[wrong]: no"
    assert "^" not in text
    assert text.endswith("= help: do `this`")


def test_what_steers_a_terminal_is_spelled() -> None:
    text = frames([Problem("wrong", "a\x1b[2Jb\x9b1m", "x\x1b]0;t\x07:1:1", "r\rs")], plain(80))
    assert text.replace("\n", "").isprintable()
    assert "\x1b" not in text
    assert "\x9b" not in text
