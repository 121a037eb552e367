"""Several targets side by side, and the difference to a stored baseline."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launcher import __version__
from launcher.errors import ExitCode, PreconditionError, UsageError
from launcher.result import Result
from launcher.smoke.comparison import baseline as baselines
from launcher.smoke.comparison import toolset
from launcher.smoke.comparison.baseline import Standing, regressed
from launcher.smoke.comparison.cost import PriceEntry, cost, list_price, prices, throughput
from launcher.smoke.comparison.payloads import (
    ComparedCheck,
    Comparison,
    TargetColumn,
    TargetCost,
)
from launcher.smoke.comparison.toolset import Prompt
from launcher.smoke.outcome import KNOWN_DEVIATION
from launcher.smoke.run.results import CheckResult, SmokeRun
from launcher.smoke.run.runner import SILENT_CODES
from launcher.smoke.run.suite import run_suite
from launcher.smoke.target import Target

NO_ANSWER = SILENT_CODES | {"closed", "redirected"}
EVIDENCE = 3
"""So many requests of a check that did not pass are kept, the last; `smoke` shows all."""


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
) -> Result[Comparison]:
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
    if gpu_hour is not None:
        columns = [
            replace(column, cost=_cost(column, target, gpu_hour, gpus, entries))
            for column, target in zip(columns, targets, strict=True)
        ]
    reference = columns[0].tools.triggered
    columns = [_with_agreement(column, reference) for column in columns]
    now = {c.name: Standing(c.verdicts, c.tools.rates) for c in columns}
    regressions = regressed(stored, now) if stored else []
    seconds = round(time.monotonic() - begun, 3)
    # A baseline that could not be stored after all must not take the comparison with it.
    problem = baselines.store(save, now) if save else None
    code = ExitCode.DONE
    if regressions:
        code = ExitCode.NEGATIVE
    elif problem or any(c.verdict == "could not check" for c in columns):
        code = ExitCode.PRECONDITION
    comparison = Comparison(
        started=started,
        seconds=seconds,
        version=__version__,
        targets=tuple(columns),
        checks=compared_checks(columns),
        baseline=str(baseline) if baseline else None,
        saved=str(save) if save and not problem else None,
        regressions=tuple(regressions),
    )
    return Result("compare", comparison, None, code, (problem,) if problem else ())


def _column(
    target: Target, questions: Sequence[Prompt], names: Sequence[str], tags: Sequence[str]
) -> TargetColumn:
    run = run_suite(target, names=names, tags=tags)
    checks = run.checks
    is_reachable = run.verdict != "could not check" and not _never_answered(checks)
    count = len(questions)
    tools = toolset.measure(target, questions) if is_reachable else toolset.unreachable(count)
    measures = {c.name: c.measures for c in checks}
    timing, chat = measures.get("stream-timing", {}), measures.get("chat", {})
    return TargetColumn(
        name=target.name,
        target=run.target,
        verdict=run.verdict if is_reachable else "could not check",
        problem=None if is_reachable else _why(run),
        stopped=run.stopped,
        counts=run.counts,
        verdicts={c.name: c.verdict for c in checks},
        messages={c.name: c.message for c in checks},
        started=run.started,
        seconds=run.seconds,
        checks=tuple(
            replace(c, evidence=c.evidence[-EVIDENCE:]) for c in checks if c.verdict != "pass"
        ),
        deviations={c.name: tuple(d.id for d in c.deviations) for c in checks},
        first_token_seconds=timing.get("first_token_seconds"),
        tokens_per_second=timing.get("tokens_per_second"),
        chat_seconds=chat.get("seconds"),
        completion_tokens=chat.get("completion_tokens"),
        tools=tools,
    )


def _with_agreement(column: TargetColumn, reference: Sequence[bool | None]) -> TargetColumn:
    agreement = toolset.agreement(reference, column.tools.triggered)
    return replace(column, tools=replace(column.tools, agreement=agreement))


def _never_answered(checks: Sequence[CheckResult]) -> bool:
    """True where no check got so far as to judge an answer: the target is not there."""
    judged = [c for c in checks if c.verdict != "could not check"]
    return bool(judged) and all(
        c.findings and all(f.code in NO_ANSWER for f in c.findings) for c in judged
    )


def _why(run: SmokeRun) -> str:
    """The first thing that stood in the way."""
    if run.stopped:
        return run.stopped.message
    order = sorted(run.checks, key=lambda c: c.verdict != "fail")
    return order[0].message if order else "no check was chosen"


def _cost(
    column: TargetColumn, target: Target, gpu_hour: float, gpus: int, entries: Sequence[PriceEntry]
) -> TargetCost:
    """What the target costs."""
    listed = list_price(target.model, entries)
    if target.kind == "hosted":
        return TargetCost(listed)
    measured = throughput(target) if column.verdict != "could not check" else None
    if measured is None:
        return TargetCost(listed, "no tokens per second could be measured")
    return TargetCost(listed, worked=cost(gpu_hour, gpus, measured))


def compared_checks(columns: Sequence[TargetColumn]) -> tuple[ComparedCheck, ...]:
    """Every check that some target ran, side by side."""
    names = dict.fromkeys(name for column in columns for name in column.verdicts)
    return tuple(_compared(name, columns) for name in names)


def _compared(name: str, columns: Sequence[TargetColumn]) -> ComparedCheck:
    verdicts = tuple(c.verdicts.get(name, "not run") for c in columns)
    outcomes = tuple(
        KNOWN_DEVIATION if c.deviations.get(name) else verdict
        for c, verdict in zip(columns, verdicts, strict=True)
    )
    return ComparedCheck(name, verdicts, outcomes, len(set(outcomes)) == 1)
