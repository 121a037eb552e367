"""The verdict of a check as every report shows it: its order, its mark and its label.

A check that fails as the release is known to fail has its own verdict here, `known deviation`:
no report may call it a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.smoke.outcome import KNOWN_DEVIATION

if TYPE_CHECKING:
    from launcher.smoke.run.results import CheckResult


@dataclass(frozen=True)
class Label:
    """How a verdict is shown.

    `mark` on a terminal, `label` in documents, `style` in HTML, `title` above a list, `short` on a
    button.
    """

    mark: str
    label: str
    style: str
    title: str
    short: str


LABELS: Mapping[str, Label] = {
    "fail": Label("FAIL", "FAIL", "fail", "Failed", "Failed"),
    "inconclusive": Label("DOUBT", "INCONCLUSIVE", "doubt", "Inconclusive", "Inconclusive"),
    KNOWN_DEVIATION: Label(
        "KNOWN", "KNOWN DEVIATION", "known", "Known deviations of the release", "Known"
    ),
    "could not check": Label("----", "NOT CHECKED", "none", "Could not be checked", "Not checked"),
    "pass": Label("PASS", "PASS", "pass", "Passed", "Passed"),
}
"""Verdicts in the order in which reports show them: what needs a reader first."""

ORDER = {verdict: position for position, verdict in enumerate(LABELS)}


def verdict_of(check: CheckResult) -> str:
    """The verdict of one check of a result, known deviations told apart."""
    return KNOWN_DEVIATION if check.deviations else check.verdict


def failures_first(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """The checks in the order of `LABELS`; within a verdict they keep their order."""
    return sorted(checks, key=lambda one: ORDER[verdict_of(one)])


def count_verdicts(checks: Iterable[CheckResult]) -> dict[str, int]:
    """How many checks have each verdict, in the order of `LABELS`."""
    counts = dict.fromkeys(LABELS, 0)
    for one in checks:
        counts[verdict_of(one)] += 1
    return counts


def letters(count: int) -> list[str]:
    """Short names of so many targets: A to Z, then AA, AB and so on."""
    names = []
    for number in range(count):
        name, rest = "", number + 1
        while rest:
            rest, digit = divmod(rest - 1, 26)
            name = chr(ord("A") + digit) + name
        names.append(name)
    return names
