"""`bench compare A B`: both sides measured in turns, level by level, and what differs.

In turns, because a machine that gets slower during the day would otherwise make the second side
look worse. Each pass has A and B next to each other (A B, then B A): Student's paired t test on the
logarithms of the ratios, corrected for the number of figures (Holm).
"""

from __future__ import annotations

import datetime
import time
from dataclasses import replace

from launcher.bench.gates import ALPHA, figure
from launcher.bench.metrics import BY_NAME
from launcher.bench.result import BenchComparison, BenchRun, ComparedFigure, Estimate, Level
from launcher.bench.run import Money, OnStep, Subject, close_session, open_session, run_levels
from launcher.bench.scenario import Scenario
from launcher.bench.statistics import holm, paired_change

FIGURES = (
    "ttft.p50", "ttft.p90", "ttfa.p50", "tpot.p50", "itl.p90", "e2e.p50", "tokens_rate",
    "requests_rate",
)  # fmt: skip
TEST = (
    "Student's paired t test on the logarithms of B / A of each pass (both sides in turns, A B then"
    " B A), two-sided, corrected for the number of figures (Holm); a difference is shown at p <="
    f" {ALPHA:g}"
)
LEAST_PASSES = 3


def compare(
    a: Subject,
    b: Subject,
    scenario: Scenario,
    path: str,
    *,
    money: Money,
    on_step: OnStep,
) -> BenchComparison:
    """Measure both subjects in turns.

    Raises:
        DeployError: something that a run needs is missing, or the generator failed.
    """
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    begin = time.monotonic()
    sessions = [open_session(one, scenario, path, {}, on_step) for one in (a, b)]
    with sessions[0].watch, sessions[1].watch:
        run_levels(sessions, on_step)
    first, second = (close_session(one, money) for one in sessions)
    return judge(first, second, started, round(time.monotonic() - begin, 3))


def judge(a: BenchRun, b: BenchRun, started: str, seconds: float) -> BenchComparison:
    """The comparison of two runs that were taken in turns; pure."""
    problem = a.generator.problem or b.generator.problem
    levels = {level.key: level for level in b.levels}
    rows: list[ComparedFigure] = []
    p_values: list[float | None] = []
    for level in a.levels:
        partner = levels.get(level.key)
        for name in FIGURES if partner is not None else ():
            assert partner is not None  # noqa: S101
            row = _figure(level, partner, name)
            if row is not None:
                rows.append(row)
                p_values.append(row.p_value)
    figures = tuple(_judged(row, p, problem) for row, p in zip(rows, holm(p_values), strict=True))
    return BenchComparison(a, b, True, TEST, figures, started, seconds, problem)


def _figure(a: Level, b: Level, name: str) -> ComparedFigure | None:
    pairs = [
        (x, y)
        for one, two in zip(a.repetitions, b.repetitions, strict=False)
        if (x := one.figures.get(name)) and (y := two.figures.get(name)) and x > 0 and y > 0
    ]
    left, right = figure(a, name), figure(b, name)
    if not pairs or left is None or right is None:
        return None
    change, p = paired_change([x for x, _ in pairs], [y for _, y in pairs])
    unit = BY_NAME[name.partition(".")[0]].unit
    return ComparedFigure(name, a.key, unit, left, right, change, p, "no difference shown", "")


def _judged(row: ComparedFigure, p: float | None, problem: str | None) -> ComparedFigure:
    if problem is not None:
        return replace(row, p_value=p, verdict="refused", reason=problem)
    if p is None:
        reason = f"a test needs {LEAST_PASSES} passes (`--repetitions`)"
        return replace(row, verdict="refused", reason=reason)
    text = f"B is {change_text(row.change)}, p {p:.3g}"
    if p > ALPHA:
        return replace(row, p_value=p, reason=f"{text}: the noise explains it")
    is_up = row.change.value > 0
    is_better = is_up == (BY_NAME[row.metric.partition(".")[0]].better == "higher")
    return replace(row, p_value=p, verdict="better" if is_better else "worse", reason=text)


def change_text(change: Estimate) -> str:
    """`+43.8% (+35.1% to +53.1%)`, with its interval where there is one."""
    text = f"{change.value:+.1%}"
    if change.low is not None and change.high is not None:
        text += f" ({change.low:+.1%} to {change.high:+.1%})"
    return text
