"""Several targets side by side, and the difference to a stored baseline."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import __version__
from launcher.codec import encode
from launcher.errors import ExitCode, PreconditionError, UsageError
from launcher.json_values import JsonObject, JsonValue, list_at, object_at, text_at
from launcher.result import Result
from launcher.smoke.comparison import baseline as baselines
from launcher.smoke.comparison import toolset
from launcher.smoke.comparison.baseline import Standing, regressed
from launcher.smoke.comparison.cost import Price, cost, list_price, prices, throughput
from launcher.smoke.comparison.toolset import Prompt, ToolCounts
from launcher.smoke.outcome import Verdict
from launcher.smoke.run.results import CheckResult, SuiteResult, describe
from launcher.smoke.run.runner import SILENT_CODES
from launcher.smoke.run.suite import run_suite
from launcher.smoke.target import Target

NO_ANSWER = SILENT_CODES | {"closed", "redirected"}
EVIDENCE = 3
"""So many requests of a check that did not pass are kept."""


@dataclass(frozen=True)
class Column:
    """One target of a comparison: its run, and its tool calls.

    `reachable` is False where no check got an answer that could be judged.
    """

    suite: SuiteResult
    tools: ToolCounts
    reachable: bool

    @property
    def target(self) -> Target:
        """What was asked."""
        return self.suite.target

    @property
    def verdict(self) -> Verdict:
        """The whole run in one word."""
        return self.suite.verdict if self.reachable else "could not check"

    @property
    def standing(self) -> Standing:
        """What a baseline keeps of it."""
        return Standing({c.name: c.verdict for c in self.suite.checks}, self.tools.rates)

    def to_json(self, agreement: float | None, costs: JsonObject | None) -> dict[str, JsonValue]:
        """The column of a report; `agreement` is with the first target's tool calls."""
        checks = self.suite.checks
        measures = {c.name: c.measures for c in checks}
        timing, chat = measures.get("stream-timing", {}), measures.get("chat", {})
        column: dict[str, JsonValue] = {
            "name": self.target.name,
            "target": describe(self.target),
            "verdict": self.verdict,
            "problem": None if self.reachable else _why(self.suite),
            "stopped": encode(self.suite.stopped),
            "counts": self.suite.counts,
            "verdicts": {c.name: c.verdict for c in checks},
            "messages": {c.name: c.message for c in checks},
            "started": self.suite.started,
            "seconds": self.suite.seconds,
            "checks": [_without_old_evidence(c) for c in checks if c.verdict != "pass"],
            "deviations": {c.name: [d.id for d in c.deviations] for c in checks},
            "first_token_seconds": _rounded(timing, "first_token_seconds"),
            "tokens_per_second": _rounded(timing, "tokens_per_second"),
            "chat_seconds": _rounded(chat, "seconds"),
            "completion_tokens": _rounded(chat, "completion_tokens"),
            "tools": {**self.tools.to_json(), "agreement": agreement},
        }
        return column if costs is None else {**column, "cost": costs}


def compare(
    targets: Sequence[Target],
    *,
    names: Sequence[str] = (),
    tags: Sequence[str] = (),
    prompts: Path | None = None,
    baseline: Path | None = None,
    save: Path | None = None,
    gpu_hour: float | None = None,
    gpus: int = 1,
    price_file: Path | None = None,
) -> Result[JsonObject]:
    """Run the suite and the tool prompts against every target.

    Raises:
        UsageError: a file is missing or wrong, an unknown check or tag, or a target twice.
        PreconditionError: the baseline could not be stored.
    """
    twice = sorted({t.name for t in targets if [o.name for o in targets].count(t.name) > 1})
    if twice:
        raise UsageError.of(
            "duplicate-target", f"{', '.join(twice)} is named more than once", "TARGETS"
        )
    questions = toolset.prompts(prompts)
    entries = prices(price_file) if gpu_hour is not None else []
    stored = baselines.read(baseline) if baseline else None
    problem = baselines.store(save, None) if save else None
    if problem:
        raise PreconditionError(problem)
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    columns = [_column(t, questions, names, tags) for t in targets]
    costs = [_cost(c, gpu_hour, gpus, entries) for c in columns]
    reference = columns[0].tools.triggered
    rows = [
        column.to_json(toolset.agreement(reference, column.tools.triggered), cost_row)
        for column, cost_row in zip(columns, costs, strict=True)
    ]
    now = {c.target.name: c.standing for c in columns}
    regressions = regressed(stored, now) if stored else []
    data: dict[str, JsonValue] = {
        "started": started,
        "seconds": round(time.monotonic() - begun, 3),
        "version": __version__,
        "targets": rows,
        "checks": _table(rows),
        "baseline": str(baseline) if baseline else None,
        "saved": str(save) if save else None,
        "regressions": encode(regressions),
    }
    # A baseline that could not be stored after all must not take the comparison with it.
    problem = baselines.store(save, now) if save else None
    code = ExitCode.DONE
    if regressions:
        code = ExitCode.NEGATIVE
    elif problem or any(c.verdict == "could not check" for c in columns):
        code = ExitCode.PRECONDITION
    if problem:
        data["saved"] = None
    return Result("compare", data, None, code, (problem,) if problem else ())


def _column(
    target: Target, questions: Sequence[Prompt], names: Sequence[str], tags: Sequence[str]
) -> Column:
    suite = run_suite(target, names=names, tags=tags)
    reachable = suite.verdict != "could not check" and not _never_answered(suite.checks)
    tools = toolset.measure(target, questions) if reachable else toolset.unreachable(len(questions))
    return Column(suite, tools, reachable)


def _rounded(measures: Mapping[str, float], name: str) -> float | None:
    value = measures.get(name)
    return None if value is None else round(value, 4)


def _without_old_evidence(one: CheckResult) -> JsonObject:
    """A check with its last requests: what ended it; `smoke` shows all."""
    return {**one.to_json(), "evidence": list(one.evidence[-EVIDENCE:])}


def _never_answered(checks: Sequence[CheckResult]) -> bool:
    """True where no check got so far as to judge an answer: the target is not there."""
    judged = [c for c in checks if c.verdict != "could not check"]
    return bool(judged) and all(
        c.findings and all(f.code in NO_ANSWER for f in c.findings) for c in judged
    )


def _why(suite: SuiteResult) -> str:
    """The first thing that stood in the way."""
    if suite.stopped:
        return suite.stopped.message
    order = sorted(suite.checks, key=lambda c: c.verdict != "fail")
    return order[0].message if order else "no check was chosen"


def _cost(
    column: Column, gpu_hour: float | None, gpus: int, entries: Sequence[Price]
) -> JsonObject | None:
    """What the target costs; None where that was not asked for."""
    if gpu_hour is None:
        return None
    row: dict[str, JsonValue] = {}
    listed = list_price(column.target.model, entries)
    if listed:
        row["list"] = listed.to_json()
    if column.target.kind == "hosted":
        return row
    measured = throughput(column.target) if column.verdict != "could not check" else None
    if measured is None:
        return {**row, "problem": "no tokens per second could be measured"}
    return {**row, "measured": measured, **cost(gpu_hour, gpus, measured)}


def _table(columns: Sequence[JsonObject]) -> list[JsonObject]:
    names: dict[str, None] = {}
    for column in columns:
        names.update(dict.fromkeys(object_at(column, "verdicts")))
    table: list[JsonObject] = []
    for name in names:
        verdicts = [text_at(c, "verdicts", name, default="not run") for c in columns]
        cells = [
            "known deviation" if list_at(c, "deviations", name) else verdict
            for c, verdict in zip(columns, verdicts, strict=True)
        ]
        is_equal = len(set(cells)) == 1
        table.append({"check": name, "verdicts": verdicts, "outcomes": cells, "equal": is_equal})
    return table
