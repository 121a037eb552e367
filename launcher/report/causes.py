"""Groups checks by their cause: a server that hangs is one cause, however many checks it hits.

Two checks have the same cause where the same thing came instead of what was expected; numbers,
times and identifiers do not count, for they differ from request to request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from launcher.report.verdict import ORDER, verdict_of
from launcher.smoke.run.results import CheckResult

LENGTH = 300
"""Characters of a text that count: servers answer whole pages."""
_VARYING = re.compile(r"https?://\S+|(?<!HTTP )(?<!status )\b(?=\w*\d)[\w-]+\b")
"""Addresses, and words with a digit; a status is what tells one failure from another."""


@dataclass
class Cause:
    """One cause: the verdict that it led to, what was seen, and the checks that it hit."""

    verdict: str
    text: str
    code: str | None
    checks: list[CheckResult]


def group_by_cause(checks: Iterable[CheckResult]) -> list[Cause]:
    """The causes of everything that did not pass, by verdict and then by the number of checks."""
    causes: dict[tuple[str, ...], Cause] = {}
    for one in checks:
        verdict = verdict_of(one)
        if verdict == "pass":
            continue
        key, text, code = _describe(one)
        cause = causes.setdefault((verdict, *key), Cause(verdict, text, code, []))
        cause.checks.append(one)
    return sorted(causes.values(), key=lambda c: (ORDER[c.verdict], -len(c.checks)))


def _describe(one: CheckResult) -> tuple[tuple[str, ...], str, str | None]:
    """(what tells the cause from others, its text, its code) of one check that did not pass."""
    if one.deviations:
        ids = tuple(d.id for d in one.deviations)
        return ids, "; ".join(f"{d.id}: {d.title}" for d in one.deviations), None
    if one.findings:
        first = one.findings[0]
        text = f"expected {first.expected}, got {first.actual}"
        return (first.code, _constant(first.actual)), text, first.code
    return (_constant(one.message),), one.message, None


def _constant(text: str) -> str:
    """`text` without what differs from one request to the next."""
    return _VARYING.sub("#", text[:LENGTH])
