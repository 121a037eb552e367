"""The list of the checks: one line each, whole on a terminal of 80 columns."""

from __future__ import annotations

import re

import pytest

from launcher.report import screens
from launcher.report.terminal import Terminal
from launcher.smoke.check import all_checks
from launcher.smoke.run.suite import catalogue
from launcher.smoke.tags import TAGS, theme_of


def listed(columns: int) -> list[str]:
    terminal = Terminal(laid_out=True, colour=False, live=False, width=columns, ellipsis="\u2026")
    text = screens.smoke(catalogue(), terminal)
    assert text is not None
    return text.split("\n")


@pytest.mark.parametrize("columns", [80, 200])
def test_each_check_is_one_line_with_its_whole_purpose(columns: int) -> None:
    lines = listed(columns)
    for check in all_checks():
        (line,) = [one for one in lines if one.startswith(f"{check.name} ")]
        assert re.fullmatch(rf"{re.escape(check.name)} +{re.escape(check.purpose)}( .*)?", line)


@pytest.mark.parametrize("columns", [40, 60, 80, 132])
def test_the_list_fits_the_width(columns: int) -> None:
    assert max(map(len, listed(columns))) <= columns


def test_checks_stand_below_their_theme() -> None:
    lines = listed(100)
    headings = [line for line in lines if re.match(r"--tag \w+: ", line)]
    assert [re.findall(r"\w+", one)[1] for one in headings] == list(TAGS)
    for check in all_checks():
        position = next(i for i, one in enumerate(lines) if one.startswith(f"{check.name} "))
        above = [one for one in lines[:position] if one in headings]
        assert above[-1].startswith(f"--tag {theme_of(check.tags)}: ")


def test_what_runs_by_default_is_named_whole() -> None:
    """The quick checks with a theme stand below it, and are named once more."""
    lines = listed(100)
    start = next(i for i, one in enumerate(lines) if "the default" in one)
    named = set(re.findall(r"[\w-]+", " ".join(lines[start:])))
    quick = {c.name for c in all_checks() if "quick" in c.tags and theme_of(c.tags) != "quick"}
    assert quick
    assert quick <= named


@pytest.mark.parametrize(
    ("tags", "theme"),
    [
        ({"quick", "full"}, "quick"),
        ({"full"}, "full"),
        ({"quick", "tools", "full"}, "tools"),
        ({"long", "security", "full"}, "long"),
        ({"mine", "full"}, "full"),
    ],
)
def test_a_theme_comes_before_quick_and_full(tags: set[str], theme: str) -> None:
    assert theme_of(tags) == theme
