"""The results of a run: a row for each check and client, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from launcher.codec import written
from launcher.errors import ExitCode
from launcher.smoke.check import Check
from launcher.smoke.clients.transcript import ExchangeRecord
from launcher.smoke.outcome import KNOWN_DEVIATION, VERDICTS, Finding, Verdict
from launcher.smoke.run.deviations import KnownDeviation
from launcher.smoke.target import TargetFacts

VERDICT_OF: Mapping[ExitCode, Verdict] = {
    ExitCode.DONE: "pass",
    ExitCode.NEGATIVE: "fail",
    ExitCode.PRECONDITION: "could not check",
    ExitCode.DEADLINE: "could not check",
}


@dataclass(frozen=True)
class CheckEntry:
    """A check that can be run; `requires` are capabilities that the server must promise."""

    name: str
    purpose: str
    kind: Literal["protocol", "skill"]
    tags: tuple[str, ...]
    requires: tuple[str, ...]


@dataclass(frozen=True)
class CheckList:
    """`smoke --list`: the checks, and the tags with what they mean."""

    checks: tuple[CheckEntry, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Rate:
    """How many of the runs of a check passed."""

    passes: int
    runs: int


@dataclass(frozen=True)
class CheckResult:
    """What one check found through one client; texts hold no secrets.

    `deviations` explain every finding of a failure, or are empty.
    """

    check: CheckEntry = field(metadata=written(inline=True))
    client: str
    verdict: Verdict
    message: str
    seconds: float
    rate: Rate
    findings: tuple[Finding, ...]
    measures: Mapping[str, float]
    deviations: tuple[KnownDeviation, ...]
    evidence: tuple[ExchangeRecord, ...]

    @property
    def name(self) -> str:
        """The check's name."""
        return self.check.name


@dataclass(frozen=True)
class Difference:
    """What one client saw and another did not; `is_known` where a release is known to do so."""

    check: str
    verdicts: Mapping[str, str]
    is_known: bool = field(metadata=written("known"))


@dataclass(frozen=True)
class Stopped:
    """Why a run ended before its last check: `unresponsive` or `budget`."""

    code: str
    message: str


@dataclass(frozen=True)
class SmokeRun:
    """`smoke TARGET`: a whole run, judged; `counts` are those of `count_results`."""

    target: TargetFacts
    started: str
    seconds: float
    version: str
    clients: tuple[str, ...]
    repeat: int
    checks: tuple[CheckResult, ...]
    counts: Mapping[str, int]
    unreachable: str | None
    differences: tuple[Difference, ...]
    stopped: Stopped | None
    verdict: Verdict

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of `smoke`."""
        return exit_code(self.checks, self.differences, self.stopped)


def entry_of(check: Check) -> CheckEntry:
    """The check as a report shows it."""
    return CheckEntry(
        check.name, check.purpose, check.kind, tuple(sorted(check.tags)), tuple(check.needs)
    )


def count_results(checks: Iterable[CheckResult]) -> dict[str, int]:
    """How many checks ended with each verdict, and how many are known deviations."""
    counts: dict[str, int] = dict.fromkeys((*VERDICTS, KNOWN_DEVIATION), 0)
    for one in checks:
        counts[one.verdict] += 1
        counts[KNOWN_DEVIATION] += bool(one.deviations)
    return counts


def exit_code(
    checks: Sequence[CheckResult], differences: Sequence[Difference], stopped: Stopped | None
) -> ExitCode:
    """1: a failure, a doubt or an unknown difference; 5: the budget; 3: nothing was checked."""
    if any(c.verdict in ("fail", "inconclusive") and not c.deviations for c in checks):
        return ExitCode.NEGATIVE
    if any(not one.is_known for one in differences):
        return ExitCode.NEGATIVE
    if stopped is not None and stopped.code == "budget":
        # What was not asked may be wrong: a run that was cut short is not a pass.
        return ExitCode.DEADLINE
    if all(one.verdict == "could not check" for one in checks):
        return ExitCode.PRECONDITION
    return ExitCode.DONE
