"""The profile's `smoke:` section: expectations, thresholds, promises, checks of one's own.

`launcher.smoke.section.rules` says what may stand in it; here it is applied.

smoke:
  tags: [quick, tools]            # what runs where the command line does not say
  promises: [skill-needle]        # and not-promised: [...]
  max-tokens: 2048                # budget of an ordinary question
  expect: {chat: {prompt: "What is 1 + 1?", matches: "2"}}
  thresholds:
    pass-rate: 0.8                # of the runs of --repeat
    stream-timing: {first-token: 2s, tokens-per-second: 10}
  custom:
    - name: knows-our-product
      request: {messages: [{role: user, content: "Who are you?"}]}
      expect: {matches: "ERNIE", latency: 10s}
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.json_values import JsonObject, JsonValue, object_at
from launcher.profile import scalars
from launcher.smoke.outcome import Finding, Outcome, inconclusive

if TYPE_CHECKING:
    from launcher.smoke.session import Session

LIMITS: Mapping[str, tuple[str, bool]] = {
    "latency": ("seconds", True),
    "first-token": ("first_token_seconds", True),
    "longest-gap": ("longest_gap_seconds", True),
    "tail": ("tail_seconds", True),
    "tokens-per-second": ("tokens_per_second", False),
}
"""Threshold to the measure it bounds, and whether from above."""
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "health": {"latency": "10s"},
    "stream-timing": {"first-token": "60s", "longest-gap": "10s", "tail": "10s"},
}
"""Limits that hold where the profile's `smoke.thresholds` sets none: a health route that takes
longer fails every probe, and a stream that stands still for so long has been given up by users."""


def seconds(value: JsonValue) -> float:
    """A duration in seconds: a number, or a text such as `500ms`, `30s`, `2m`.

    Raises:
        ValueError: it is none, or longer than a year.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return float(scalars.seconds(str(value).strip()))
    except scalars.ScalarError as error:
        raise ValueError(str(error)) from None


def rate(value: JsonValue) -> float:
    """A number, or a text of one.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, (int, float, str)):
        with contextlib.suppress(ValueError):
            return float(value)
    raise ValueError(f"{value!r} is not a number")


def expected(session: Session, outcome: Outcome) -> Outcome:
    """The outcome after the profile's expectations and thresholds for this check."""
    smoke = session.target.smoke
    name = session.check.name
    expected_values: dict[str, JsonValue] = {
        **(DEFAULTS.get(name) or {}),
        **object_at(smoke, "expect", name),
        **object_at(smoke, "thresholds", name),
    }
    if not expected_values or outcome.verdict != "pass":
        return outcome
    session.measures.update(outcome.measures)
    if "matches" in expected_values:
        pattern = str(expected_values["matches"])
        text = session.last.choice.text if session.last else "no answer that could match"
        session.expect(
            session.last is not None and re.search(pattern, text) is not None,
            "unexpected-answer",
            f"an answer that matches {pattern!r}",
            text,
        )
    judge_limits(session, expected_values)
    return session.outcome(outcome.message) if session.findings else outcome


def judge_limits(session: Session, limits: JsonObject) -> None:
    """Note every limit that the session's measures break.

    Raises:
        Stop: nothing else is wrong, and the only limits that are broken are so by less than the
            time that this side waited for a processor: that proves nothing about the server.
    """
    waited = session.last.waited if session.last else 0.0
    session.findings += over_limits(limits, session.measures)
    if not waited or not session.findings:
        return
    duration = session.measures.get("seconds", 0.0)
    fairer = {
        name: value - waited if name.endswith("seconds") else value * duration / (duration - waited)
        for name, value in session.measures.items()
        if name.endswith("seconds") or duration > waited
    }
    slow = all(f.code == "too-slow" for f in session.findings)
    if slow and not over_limits(limits, {**session.measures, **fairer}):
        summary = "; ".join(f.text() for f in session.findings)
        session.findings.clear()
        raise inconclusive(f"{summary}, but this side waited for a processor for {waited:.2f} s")


def over_limits(limits: JsonObject, measures: Mapping[str, float]) -> list[Finding]:
    """Every limit that the measures break; a limit that was not measured is broken too."""
    findings = []
    for key, (measure, above) in LIMITS.items():
        if key not in limits:
            continue
        limit = seconds(limits[key]) if above else rate(limits[key])
        unit = "s" if above else "tokens/s"
        bound = f"{key} of {'at most' if above else 'at least'} {limit:g} {unit}"
        got = measures.get(measure)
        if got is None:
            findings.append(Finding("not-measured", bound, "no measurement"))
        elif (got > limit) if above else (got < limit):
            findings.append(Finding("too-slow", bound, f"{got:.3f} {unit}"))
    return findings
