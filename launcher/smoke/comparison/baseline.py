"""A stored baseline: what a comparison must not be worse than."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import DeployError, Problem, UsageError
from launcher.json_values import JsonObject, JsonValue
from launcher.paths import write_file

SCHEMA = "ernie-deploy/baseline/1"
RATES = ("trigger_rate", "trigger_accuracy", "schema_accuracy")
TOLERANCE = 0.05
"""By how much a rate may fall before it is a regression: one draw in twenty prompts."""


@dataclass(frozen=True)
class Standing:
    """How one target did: the verdicts by check, the rates of its tool calls by name."""

    verdicts: Mapping[str, str]
    rates: Mapping[str, float | None]

    def to_json(self) -> JsonObject:
        """The entry of a stored baseline."""
        return {"verdicts": dict(self.verdicts), "tools": dict(self.rates)}


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
        kept = {"schema": SCHEMA, "targets": {n: one.to_json() for n, one in targets.items()}}
        text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
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
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError.of(
            "bad-baseline",
            f"the baseline cannot be read: {error}",
            str(path),
            "write one with --save-baseline",
        ) from error
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        raise UsageError.of("bad-baseline", f"not a baseline of schema {SCHEMA}", str(path))
    targets = _mapping(data.get("targets"), "targets", path)
    return {name: _standing(one, f"targets.{name}", path) for name, one in targets.items()}


def _standing(value: JsonValue, where: str, path: Path) -> Standing:
    entry = _mapping(value, where, path)
    verdicts: dict[str, str] = {}
    for check, verdict in _mapping(entry.get("verdicts"), f"{where}.verdicts", path).items():
        if not isinstance(verdict, str):
            raise _wrong(f"{where}.verdicts.{check}", "a verdict", verdict, path)
        verdicts[check] = verdict
    rates: dict[str, float | None] = {}
    for name, rate in _mapping(entry.get("tools"), f"{where}.tools", path).items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float, type(None))):
            raise _wrong(f"{where}.tools.{name}", "a number or null", rate, path)
        rates[name] = rate
    return Standing(verdicts, rates)


def _mapping(value: JsonValue, where: str, path: Path) -> JsonObject:
    if not isinstance(value, Mapping):
        raise _wrong(where, "a mapping", value, path)
    return value


def _wrong(where: str, expected: str, value: JsonValue, path: Path) -> DeployError:
    message = f"not a baseline: {where} must be {expected}, not {str(value)[:80]}"
    return UsageError.of("bad-baseline", message, str(path), "write one with --save-baseline")
