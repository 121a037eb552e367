"""Causes: the same thing that came instead is one cause, different things are several."""

from __future__ import annotations

import re

from launcher.report import html, markdown, smoke_text
from launcher.report.causes import group_by_cause
from launcher.report.verdict import failures_first, letters, verdict_of
from launcher.smoke.run.results import CheckResult
from tests.report.results import EVERY_VERDICT, check, finding, smoke_result
from tests.support.payloads import made

SILENT = [
    check(
        f"check-{number}",
        "fail",
        message=f"expected an answer, got none in {number}.5 s",
        findings=[finding(f"none in {number}.5 s", "timeout", f"answer {number}")],
    )
    for number in range(42)
]
"""One cause: the server hangs, and every check waits for another time."""


def names(*checks: dict[str, object]) -> list[list[str]]:
    rows = [made(CheckResult, one) for one in checks]
    return [[one.name for one in cause.checks] for cause in group_by_cause(rows)]


def test_a_hanging_server_is_one_cause() -> None:
    assert names(*SILENT) == [[f"check-{n}" for n in range(42)]]


def test_identifiers_do_not_make_causes_different() -> None:
    causes = [finding(f"HTTP 500: chatcmpl-{n}a at http://h:{n}/x") for n in (1, 2)]
    assert len(names(*(check(str(n), "fail", findings=[f]) for n, f in enumerate(causes)))) == 1


def test_other_codes_other_words_and_other_verdicts_are_other_causes() -> None:
    assert len(names(
        check("a", "fail", findings=[finding("no answer", "timeout")]),
        check("b", "fail", findings=[finding("no answer", "closed")]),
        check("c", "fail", findings=[finding("half an answer", "closed")]),
        check("d", "inconclusive", message="no answer"),
        check("e", "could not check", message="no answer"),
        check("f", "fail", known=True, findings=[finding("no answer", "timeout")]),
        check("g"),
    )) == 6  # fmt: skip


def test_failures_come_first_and_the_widest_cause_before_others() -> None:
    second = check("other", "fail", findings=[finding("HTTP 404")])
    checks = [made(CheckResult, one) for one in (*EVERY_VERDICT, second, *SILENT[:3])]
    causes = group_by_cause(checks)
    verdicts = [cause.verdict for cause in causes]
    assert verdicts == ["fail"] * 3 + ["inconclusive", "known deviation", "could not check"]
    assert [one.name for one in causes[0].checks] == ["check-0", "check-1", "check-2"]
    order = [
        verdict_of(one) for one in failures_first(made(CheckResult, one) for one in EVERY_VERDICT)
    ]
    assert order == ["fail", "inconclusive", "known deviation", "could not check", "pass"]


def test_one_cause_is_printed_once_on_a_terminal() -> None:
    text = smoke_text.smoke(smoke_result(*SILENT))
    assert text.count("got      none in") == 1
    assert text.count("same cause as check-0") == 41
    more = [*SILENT[:3], {**SILENT[3], "findings": [*SILENT[3]["findings"], finding("HTTP 404")]}]
    assert "got      HTTP 404" in smoke_text.smoke(smoke_result(*more))


def test_one_cause_is_a_heading_once_in_documents() -> None:
    result = smoke_result(*SILENT)
    assert html.render(result).count('<div class="cause') == 1
    document = markdown.render(result)
    assert len(re.findall(r"^\*\*expected answer 0, got none", document, re.MULTILINE)) == 1
    assert "(42 checks)" in document


def test_targets_have_short_names() -> None:
    letters_needed = letters(54)
    assert (letters_needed[0], letters_needed[25], letters_needed[26], letters_needed[53]) == (
        "A",
        "Z",
        "AA",
        "BB",
    )
