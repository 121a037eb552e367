"""A stored baseline: what a comparison must not be worse than."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.codec import DecodeError, decode, encode, written
from launcher.errors import Problem, UsageError
from launcher.json_values import JsonValue
from launcher.paths import write_file

SCHEMA = "ernie-deploy/baseline/1"
RATES = ("trigger_rate", "trigger_accuracy", "schema_accuracy")
TOLERANCE = 0.05
"""By how much a rate may fall before it is a regression: one draw in twenty prompts."""


@dataclass(frozen=True)
class Standing:
    """How one target did: the verdicts by check, the rates of its tool calls by name."""

    verdicts: Mapping[str, str]
    rates: Mapping[str, float | None] = field(metadata=written("tools"))


@dataclass(frozen=True)
class _Baseline:
    """The file."""

    schema: str
    targets: Mapping[str, Standing]


@dataclass(frozen=True)
class Regression:
    """What is worse than it was."""

    target: str
    metric: str
    before: str
    after: str


def regressed(stored: Mapping[str, Standing], now: Mapping[str, Standing]) -> list[Regression]:
    """What is worse than in the baseline: verdicts that were a pass, rates that fell.

    A target or a check that the baseline has and this run has not is a regression, too: a gate
    must not pass because something was left out.
    """
    regressions: list[Regression] = []
    for name, before in stored.items():
        current = now.get(name)
        if current is None:
            regressions.append(Regression(name, "target", "compared", "missing"))
            continue
        for check, verdict in before.verdicts.items():
            is_now = current.verdicts.get(check, "not run")
            if verdict == "pass" and is_now != "pass":
                regressions.append(Regression(name, check, verdict, is_now))
        for rate in RATES:
            was, is_rate = before.rates.get(rate), current.rates.get(rate)
            if was is not None and (is_rate is None or is_rate < was - TOLERANCE):
                regressions.append(Regression(name, rate, str(was), str(is_rate)))
    return regressions


def store(path: Path, targets: Mapping[str, Standing] | None) -> Problem | None:
    """Store the baseline, or only try to where there is none yet; what stood in the way."""
    text = None
    if targets is not None:
        text = json.dumps(encode(_Baseline(SCHEMA, targets)), indent=1, ensure_ascii=False) + "\n"
    try:
        write_file(path, text)
    except OSError as error:
        message = f"the baseline cannot be written: {error.strerror}"
        return Problem("baseline-not-written", message, str(path))
    return None


def read(path: Path) -> Mapping[str, Standing]:
    """The stored baseline, by target.

    Raises:
        UsageError: it cannot be read, or is not a baseline.
    """
    try:
        data: JsonValue = json.loads(path.read_text(encoding="utf-8"))
        return decode(_Baseline, data, schema=SCHEMA, tolerant=True).targets
    except (OSError, ValueError, RecursionError) as error:
        what = "not a baseline" if isinstance(error, DecodeError) else "the baseline cannot be read"
        remedy = "write one with --save-baseline"
        raise UsageError.of("bad-baseline", f"{what}: {error}", str(path), remedy) from error
