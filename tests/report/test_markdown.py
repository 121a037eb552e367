"""Markdown as GitHub shows it: causes, then a table that survives what names hold."""

from __future__ import annotations

import re

from launcher.report import markdown, markdown_compare
from tests.report.results import EVERY_VERDICT, check, column, compare_result, smoke_result

ODD = "a|b `c` <d> [e](f) *g*\n| h"


def rows(document: str) -> list[list[str]]:
    """The cells of every line of a table, without its second line."""
    split = re.compile(r"(?<!\\)\|")
    lines = [line for line in document.splitlines() if line.startswith("| ")]
    return [[c.strip() for c in split.split(line)[1:-1]] for line in lines if "---" not in line]


def test_the_table_has_every_check_failures_first() -> None:
    table = rows(markdown.render(smoke_result(*EVERY_VERDICT)))
    assert [row[:2] for row in table[1:]] == [
        ["FAIL", "fails"],
        ["INCONCLUSIVE", "doubts"],
        ["KNOWN DEVIATION", "deviates"],
        ["NOT CHECKED", "skips"],
        ["PASS", "passes"],
    ]


def test_headings_name_the_verdicts() -> None:
    document = markdown.render(smoke_result(*EVERY_VERDICT))
    assert re.findall(r"^## (.*)", document, re.MULTILINE) == [
        "Failed",
        "Inconclusive",
        "Known deviations of the release",
        "Could not be checked",
        "Checks",
    ]


def test_a_known_deviation_is_never_called_a_failure() -> None:
    document = markdown.render(smoke_result(check("x", "fail", known=True), verdict="pass"))
    assert "fail" not in document.lower()
    assert "fd-tool-choice" in document
    assert "release notes of 2.4" in document


def test_tables_survive_what_names_hold() -> None:
    result = smoke_result(check(ODD, "fail", message=ODD, client=ODD))
    table = rows(markdown.render(result))
    assert [len(row) for row in table] == [5, 5]
    compared = compare_result(column(ODD, check(ODD)), column("x", check(ODD, "fail")))
    document = markdown_compare.render(compared)
    assert {len(row) for row in rows(document)} == {3}
    assert "<d>" not in document


def test_a_run_cut_short_says_so() -> None:
    stopped = {"code": "budget", "message": "the budget of 15 min is used up"}
    assert "the budget of 15 min" in markdown.render(smoke_result(check("x"), stopped=stopped))


def test_a_comparison_has_differences_then_the_rest_then_figures_and_costs() -> None:
    cost = {"problem": "no tokens per second could be measured"}
    result = compare_result(
        column("new", check("chat"), check("tools", "fail", known=True), cost=cost),
        column("old", check("chat", "fail"), check("tools", "fail", known=True)),
        baseline="base.json",
        regressions=[{"target": "old", "metric": "chat", "before": "pass", "after": "fail"}],
    )
    document = markdown_compare.render(result)
    assert re.findall(r"^## (.*)", document, re.MULTILINE) == [
        "Worse than base.json",
        "Differences",
        "The same everywhere",
        "What did not pass",
        "Speed and tool calls",
        "Cost",
    ]
    assert ["chat", "PASS", "FAIL"] in rows(document)
    assert ["tools", "KNOWN DEVIATION", "KNOWN DEVIATION"] in rows(document)
    assert "no tokens per second" in document


def test_a_silent_target_is_named() -> None:
    result = compare_result(column("new", check("chat", "fail"), problem="refused"))
    assert "could not be checked: refused" in markdown_compare.render(result)
