"""JUnit: one outcome per verdict, valid for Ant, and what Jenkins and GitLab read."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from launcher.report import junit
from launcher.result import Result
from tests.report.ant_schema import violations
from tests.report.results import (
    EVERY_VERDICT,
    check,
    column,
    compare_result,
    finding,
    smoke_result,
)

REGRESSION = {"target": "old", "metric": "chat", "before": "pass", "after": "fail"}

RESULTS = {
    "every verdict": smoke_result(*EVERY_VERDICT),
    "nothing": smoke_result(),
    "differences": smoke_result(
        check("chat"),
        differences=[
            {"check": "chat", "verdicts": {"a": "pass", "b": "fail"}, "known": is_known}
            for is_known in (True, False)
        ],
    ),
    "hostile": smoke_result(
        check("a]]>\x00\ud800<b", "fail", message="\x1b[2J", findings=[finding("]]>&<\ufffe")])
    ),
    "compare": compare_result(column("new", *EVERY_VERDICT), column("old", check("chat"))),
    "worse": compare_result(column("old", check("chat", "fail")), regressions=[REGRESSION]),
    "target gone": compare_result(column("new", check("chat")), regressions=[REGRESSION]),
    "silent": compare_result(column("new", check("chat", "fail"), problem="connection refused")),
}


def outcomes(result: Result[Any]) -> dict[str, str]:
    """Each case's name and how it ended: the element in it, or `passed`."""
    root = ElementTree.fromstring(junit.render(result).encode())
    return {
        f"{suite.get('name')}: {case.get('name')}": case[0].tag if len(case) else "passed"
        for suite in root
        for case in suite.findall("testcase")
    }


@pytest.mark.parametrize("kind", RESULTS)
def test_it_is_valid_for_ant(kind: str) -> None:
    assert violations(junit.render(RESULTS[kind])) == []


def test_the_judge_of_the_schema_sees_what_is_wrong() -> None:
    valid = junit.render(RESULTS["every verdict"])
    assert violations(valid) == []
    for old, new in (
        ("<testsuites>", '<testsuites name="x">'),
        ("<properties>", "<system-err/><properties>"),
        ('timestamp="2026-01-02T03:04:05"', 'timestamp="2026-01-02T03:04:05+00:00"'),
        (' hostname="', ' host="'),
        ("<system-err></system-err>", ""),
        ("</testcase>", "<system-out>x</system-out></testcase>"),
        ('failures="1"', 'failures="2"'),
        ('time="0.250"', 'time="1e-3"'),
        ('<error type="inconclusive"', "<error"),
    ):
        assert old in valid, old
        assert violations(valid.replace(old, new, 1)), new


def test_every_verdict_has_its_outcome() -> None:
    assert outcomes(RESULTS["every verdict"]) == {
        "smoke ernie: passes [requests]": "passed",
        "smoke ernie: skips [requests]": "skipped",
        "smoke ernie: deviates [requests]": "skipped",
        "smoke ernie: doubts [requests]": "error",
        "smoke ernie: fails [requests]": "failure",
    }


def test_a_known_deviation_is_skipped_with_its_name() -> None:
    root = ElementTree.fromstring(junit.render(smoke_result(check("x", "fail", known=True))))
    (skipped,) = root.iter("skipped")
    message = str(skipped.get("message"))
    assert message.startswith("known deviation fd-tool-choice: tool_choice is ignored")
    assert (root[0].get("failures"), root[0].get("skipped")) == ("0", "1")


def test_a_failure_says_what_was_expected_and_how_it_was_asked() -> None:
    (failure,) = ElementTree.fromstring(junit.render(RESULTS["every verdict"])).iter("failure")
    assert failure.get("type") == "status"
    assert failure.get("message") == "fails was looked at"
    text = str(failure.text)
    assert "expected status 200\ngot      HTTP 500 [status]" in text
    assert "POST http://127.0.0.1:1/v1/chat/completions -> HTTP 200" in text
    assert "tiny-ernie" in text


def test_what_passed_says_what_was_seen() -> None:
    root = ElementTree.fromstring(junit.render(RESULTS["every verdict"]))
    assert root.findtext("testsuite/system-out") == "passes [requests]: passes was looked at"


def test_differences_of_clients_fail_unless_they_are_known() -> None:
    root = ElementTree.fromstring(junit.render(RESULTS["differences"]))
    cases = root[0].findall("testcase")
    assert [c[0].tag for c in cases if len(c)] == ["skipped", "failure"]


def test_a_comparison_has_a_suite_for_each_target() -> None:
    result = compare_result(
        column("new", check("chat"), check("tools", "fail", known=True)),
        column("old", check("chat", "fail"), check("tools", "could not check")),
    )
    assert outcomes(result) == {
        "compare new: chat [requests]": "passed",
        "compare new: tools [requests]": "skipped",
        "compare old: chat [requests]": "failure",
        "compare old: tools [requests]": "skipped",
    }
    root = ElementTree.fromstring(junit.render(result))
    assert [suite.get("id") for suite in root] == ["0", "1"]
    assert root[0].get("time") == "1.500"


def test_what_is_worse_than_the_baseline_fails_in_its_target() -> None:
    name = "compare old: no worse than the baseline: chat"
    assert outcomes(RESULTS["worse"])[name] == "failure"
    assert outcomes(RESULTS["target gone"])[name] == "failure"
    suites = {kind: junit.render(RESULTS[kind]).count("<testsuite ") for kind in RESULTS}
    assert (suites["worse"], suites["target gone"]) == (1, 2)


def test_a_target_that_does_not_answer_is_an_error() -> None:
    assert outcomes(RESULTS["silent"])["compare new: reachable"] == "error"
