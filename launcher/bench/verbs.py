"""What the verbs `bench` and `bench compare` return: a run or comparison with its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.bench import comparison, gates
from launcher.bench.record import DOCUMENT
from launcher.bench.result import (
    BenchComparison,
    BenchRun,
    Gate,
    encode_comparison,
    encode_run,
)
from launcher.bench.run import Money, OnStep, Subject, run, write_document
from launcher.bench.scenario import Scenario
from launcher.errors import ExitCode, Problem
from launcher.json_values import JsonObject
from launcher.result import Result


@dataclass(frozen=True)
class Gating:
    """What a run is held to: the profile's objectives and where they are, and a baseline."""

    slo: JsonObject
    where: str
    baseline: Path | None = None
    tolerance: float = gates.TOLERANCE


def bench(
    subject: Subject,
    scenario: Scenario,
    path: str,
    gating: Gating,
    *,
    money: Money,
    output: Path | None,
    on_step: OnStep,
) -> Result[BenchRun]:
    """Measure, judge, and keep the result; exit code 1 where a gate was missed or refused.

    Raises:
        DeployError: something that a run needs is missing, or the generator failed.
    """
    # Read before the run: a file that is none would be noticed after minutes.
    baseline = gates.read_baseline(gating.baseline) if gating.baseline is not None else None
    scenario = gates.with_slo_level(scenario, gating.slo)
    measured, folder = run(
        subject, scenario, path, limits=gates.request_limits(gating.slo), money=money,
        on_step=on_step,
    )  # fmt: skip
    judged: list[Gate] = gates.slo_gates(measured, gating.slo, gating.where) if gating.slo else []
    if baseline is not None:
        judged += gates.baseline_gates(measured, baseline, str(gating.baseline), gating.tolerance)
    kept = [folder / DOCUMENT, *([output] if output is not None else [])]
    measured = replace(measured, gates=tuple(judged), files=tuple(map(str, kept)))
    problems = [problem for one in kept if (problem := _write(one, encode_run(measured)))]
    code = exit_code(judged)
    errors = [*problems_of(judged), *problems]
    if problems and code == ExitCode.DONE:
        code = ExitCode.PRECONDITION
    return Result("bench", measured, measured.target.name, code, tuple(errors))


def exit_code(judged: Sequence[Gate]) -> ExitCode:
    """1 where a gate was missed, 3 where a verdict was refused and none was missed."""
    verdicts = {gate.verdict for gate in judged}
    if "missed" in verdicts:
        return ExitCode.NEGATIVE
    return ExitCode.PRECONDITION if "refused" in verdicts else ExitCode.DONE


def problems_of(judged: Sequence[Gate]) -> list[Problem]:
    """One problem for each gate that was not met; refusals with one reason are one."""
    problems = [
        Problem(
            "slo-missed" if gate.kind == "slo" else "bench-regression",
            f"{gate.name} at {gate.level}: {gate.reason}",
            gate.source,
        )
        for gate in judged
        if gate.verdict == "missed"
    ]
    refused: dict[str, list[Gate]] = {}
    for gate in judged:
        if gate.verdict == "refused":
            refused.setdefault(gate.reason, []).append(gate)
    for reason, some in refused.items():
        problems.append(
            Problem(
                "verdict-refused", f"no verdict on {len(some)} figures: {reason}", some[0].source,
                "measure again, on a machine with less other work",
            )
        )  # fmt: skip
    return problems


def bench_compare(
    a: Subject,
    b: Subject,
    scenario: Scenario,
    path: str,
    *,
    money: Money,
    output: Path | None,
    on_step: OnStep,
) -> Result[BenchComparison]:
    """Measure both in turns; exit code 3 where the machine was too busy for a verdict.

    Raises:
        DeployError: something that a run needs is missing, or the generator failed.
    """
    compared = comparison.compare(a, b, scenario, path, money=money, on_step=on_step)
    errors = []
    code = ExitCode.DONE
    if compared.problem is not None:
        code = ExitCode.PRECONDITION
        errors.append(Problem("verdict-refused", f"no verdict: {compared.problem}"))
    if output is not None:
        compared = replace(compared, files=(str(output),))
        problem = _write(output, encode_comparison(compared))
        if problem is not None:
            errors.append(problem)
            code = code or ExitCode.PRECONDITION
    return Result("bench compare", compared, None, code, tuple(errors))


def _write(path: Path, document: JsonObject) -> Problem | None:
    try:
        write_document(path, document)
    except OSError as error:
        return Problem(
            "report-not-written", f"the result cannot be written: {error.strerror}", str(path)
        )
    return None
