"""Every report says that a run ended before its last check, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from launcher.report import (
    compare_text,
    html,
    html_compare,
    junit,
    markdown,
    markdown_compare,
    smoke_text,
)
from launcher.result import Result
from tests.report.ant_schema import violations
from tests.report.results import check, column, compare_result, smoke_result

STOPPED = {"code": "budget", "message": "the budget of 15 s for the whole run is used up"}
SMOKE = [smoke_text.smoke, html.render, markdown.render, junit.render]
COMPARE = [compare_text.compare, html_compare.render, markdown_compare.render, junit.render]


@pytest.mark.parametrize("render", SMOKE)
def test_a_smoke_report(render: Callable[[Result[Any]], str]) -> None:
    assert STOPPED["message"] in render(smoke_result(check("x"), stopped=STOPPED))
    assert "ended early" not in render(smoke_result(check("x"), stopped=None))


@pytest.mark.parametrize("render", COMPARE)
def test_a_comparison(render: Callable[[Result[Any]], str]) -> None:
    cut, complete = column("a", check("x"), stopped=STOPPED), column("b", check("x"), stopped=None)
    assert render(compare_result(cut, complete)).count(STOPPED["message"]) >= 1
    assert "ended early" not in render(compare_result(complete))


def test_junit_counts_it_as_an_error() -> None:
    document = junit.render(smoke_result(check("x"), stopped=STOPPED))
    suite = ElementTree.fromstring(document)[0]
    assert suite.get("errors") == "1"
    assert violations(document) == []
