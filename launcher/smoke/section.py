"""The profile's `smoke:` section: expectations, thresholds, promises, checks of one's own.

smoke:
  tags: [quick, tools]            # what runs where the command line does not say
  promises: [skill-needle]        # and not-promised: [...]
  max-tokens: 2048                # budget of an ordinary question
  expect: {chat: {prompt: "What is 1 + 1?", matches: "2"}}
  thresholds:
    pass-rate: 0.8                # of the draws of --repeat
    stream-timing: {first-token: 2s, tokens-per-second: 10}
  custom:
    - name: knows-our-product
      request: {messages: [{role: user, content: "Who are you?"}]}
      expect: {matches: "ERNIE", latency: 10s}
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.engines.base import CAPABILITIES
from launcher.errors import Problem, ProfileError
from launcher.smoke.check import Check, Finding, Outcome, inconclusive
from launcher.smoke.schema import unknown_words
from launcher.smoke.session import Session
from launcher.smoke.target import Target

KEYS = frozenset(
    [
        "checks",
        "tags",
        "expect",
        "thresholds",
        "custom",
        "repeat",
        "timeout",
        "request-timeout",
        "promises",
        "not-promised",
        "max-tokens",
        "needle-tokens",
    ]
)
LIMITS: Mapping[str, tuple[str, bool]] = {
    "latency": ("seconds", True),
    "first-token": ("first_token_seconds", True),
    "longest-gap": ("longest_gap_seconds", True),
    "tokens-per-second": ("tokens_per_second", False),
}
"""Threshold to the measure it bounds, and whether from above."""
EXPECTATIONS = frozenset(
    [
        "matches",
        "status",
        "reasoning",
        "finish-reason",
        "tool",
        "json-schema",
        "latency",
        "first-token",
        "tokens-per-second",
        "longest-gap",
    ]
)
CUSTOM_KEYS = frozenset(["name", "purpose", "tags", "needs", "request", "stream", "expect"])
DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*$")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(value: Any) -> float:
    """A duration in seconds: a number, or a text such as `500ms`, `30s`, `2m`.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = DURATION.match(str(value))
    if not match:
        raise ValueError(f"not a duration: {value!r}")
    return float(match[1]) * UNITS[match[2]]


def validate(section: Mapping[str, Any], known: Sequence[str], where: str | None) -> None:
    """Judge a section as far as the profile's schema cannot.

    Raises:
        ProfileError: every problem at once.
    """
    problems: list[Problem] = []

    def wrong(path: str, message: str) -> None:
        problems.append(Problem("bad-smoke-section", message, f"{where or 'profile'}: {path}"))

    for key in set(section) - KEYS:
        wrong(f"smoke.{key}", f"unknown key {key!r}{_near(key, KEYS)}")
    for key in ("promises", "not-promised"):
        for word in section.get(key) or ():
            if word not in CAPABILITIES:
                wrong(f"smoke.{key}", f"unknown capability {word!r}{_near(word, CAPABILITIES)}")
    custom = section.get("custom") or []
    names = [c.get("name") for c in custom if isinstance(c, Mapping)]
    for position, item in enumerate(custom):
        for message in _custom_problems(item):
            wrong(f"smoke.custom[{position}]", message)
    having = {*known, *map(str, names)}
    for key in ("expect", "thresholds"):
        for name, item in (section.get(key) or {}).items():
            if key == "thresholds" and name == "pass-rate":
                if not isinstance(item, (int, float)) or not 0 < item <= 1:
                    wrong("smoke.thresholds.pass-rate", "a number above 0, at most 1, is needed")
                continue
            if name not in having:
                wrong(f"smoke.{key}.{name}", f"there is no check {name!r}{_near(name, having)}")
            for message in _expectation_problems(item, _judged_for(name)):
                wrong(f"smoke.{key}.{name}", message)
    if problems:
        raise ProfileError(problems)


def expected(session: Session, outcome: Outcome) -> Outcome:
    """The outcome after the profile's expectations and thresholds for this check."""
    smoke = session.target.smoke
    name = session.check.name
    wanted = {
        **((smoke.get("expect") or {}).get(name) or {}),
        **((smoke.get("thresholds") or {}).get(name) or {}),
    }
    if not wanted or outcome.verdict != "pass":
        return outcome
    session.measures.update(outcome.measures)
    if "matches" in wanted:
        pattern = str(wanted["matches"])
        text = session.last.choice.text if session.last else "no answer that could match"
        session.expect(
            session.last is not None and re.search(pattern, text) is not None,
            "unexpected-answer",
            f"an answer that matches {pattern!r}",
            text,
        )
    judge_limits(session, wanted)
    return session.outcome(outcome.message) if session.findings else outcome


def judge_limits(session: Session, wanted: Mapping[str, Any]) -> None:
    """Note every limit that the session's measures break.

    Raises:
        Stop: nothing else is wrong, and the only limits that are broken are so by less than the
            time that this side waited for a processor: that proves nothing about the server.
    """
    waited = session.last.waited if session.last else 0.0
    session.findings += over_limits(wanted, session.measures)
    if not waited or not session.findings:
        return
    whole = session.measures.get("seconds", 0.0)
    fairer = {
        name: value - waited if name.endswith("seconds") else value * whole / (whole - waited)
        for name, value in session.measures.items()
        if name.endswith("seconds") or whole > waited
    }
    slow = all(f.code == "too-slow" for f in session.findings)
    if slow and not over_limits(wanted, {**session.measures, **fairer}):
        said = "; ".join(f.text() for f in session.findings)
        session.findings.clear()
        raise inconclusive(f"{said}, but this side waited for a processor for {waited:.2f} s")


def over_limits(wanted: Mapping[str, Any], measures: Mapping[str, float]) -> list[Finding]:
    """Every limit that the measures break; a limit nobody measured is broken too."""
    findings = []
    for key, (measure, above) in LIMITS.items():
        if key not in wanted:
            continue
        limit = seconds(wanted[key]) if above else float(wanted[key])
        unit = "s" if above else "tokens/s"
        bound = f"{key} of {'at most' if above else 'at least'} {limit:g} {unit}"
        got = measures.get(measure)
        if got is None:
            findings.append(Finding("not-measured", bound, "no measurement"))
        elif (got > limit) if above else (got < limit):
            findings.append(Finding("too-slow", bound, f"{got:.3f} {unit}"))
    return findings


def custom_checks(target: Target) -> list[Check]:
    """The checks that the profile adds under `smoke.custom`."""
    from launcher.smoke.custom import check_of

    return [check_of(item) for item in target.smoke.get("custom") or []]


def _custom_problems(item: Any) -> list[str]:
    if not isinstance(item, Mapping):
        return ["a check is a mapping with name, request and expect"]
    found = [f"unknown key {k!r}{_near(k, CUSTOM_KEYS)}" for k in set(item) - CUSTOM_KEYS]
    if not isinstance(item.get("name"), str):
        found.append("a check needs a name")
    request = item.get("request")
    if not isinstance(request, Mapping) or not isinstance(request.get("messages"), list):
        found.append("a check needs request.messages, a list")
    if not item.get("expect"):
        found.append("a check that expects nothing cannot fail: it needs `expect`")
    unknown = [n for n in item.get("needs") or [] if n not in CAPABILITIES]
    found += [f"unknown capability {n!r}{_near(n, CAPABILITIES)}" for n in unknown]
    return found + _expectation_problems(item.get("expect") or {}, EXPECTATIONS)


def _judged_for(name: str) -> frozenset[str]:
    """What a section can expect of a check that has a request of its own."""
    return frozenset(["matches", *LIMITS, *(["prompt"] if name == "chat" else [])])


def _expectation_problems(item: Any, known: frozenset[str]) -> list[str]:
    if not isinstance(item, Mapping):
        return ["expectations are a mapping"]
    found = [
        f"{k!r} is judged in checks of `smoke.custom` only"
        if k in EXPECTATIONS
        else f"unknown key {k!r}{_near(k, known)}"
        for k in sorted(set(item) - known)
    ]
    if "json-schema" in item:
        found += unknown_words(item["json-schema"])
    for key in ("matches", "reasoning"):
        try:
            re.compile(str(item.get(key, "")))
        except re.error as error:
            found.append(f"{key} is no regular expression: {error}")
    for key, (_, above) in LIMITS.items():
        try:
            if key in item:
                _ = seconds(item[key]) if above else float(item[key])
        except (TypeError, ValueError):
            found.append(f"{key}: not a {'duration' if above else 'number'}: {item[key]!r}")
    return found


def _near(word: Any, having: Any) -> str:
    near = difflib.get_close_matches(str(word), list(having), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
