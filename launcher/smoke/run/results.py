"""The results of a run: a row for each check and client, and how the rows become JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcher.codec import encode
from launcher.errors import ExitCode
from launcher.json_values import JsonObject, JsonValue
from launcher.smoke.check import Check
from launcher.smoke.outcome import VERDICTS, Finding, Verdict
from launcher.smoke.run.deviations import Deviation
from launcher.smoke.target import Target

KNOWN_DEVIATION = "known deviation"
VERDICT_OF: Mapping[ExitCode, Verdict] = {
    ExitCode.DONE: "pass",
    ExitCode.NEGATIVE: "fail",
    ExitCode.PRECONDITION: "could not check",
    ExitCode.DEADLINE: "could not check",
}


@dataclass(frozen=True)
class CheckResult:
    """What one check found through one client; texts hold no secrets.

    `passes` of `runs` passed; `deviations` explain every finding of a failure, or are empty.
    """

    check: Check
    client: str
    verdict: Verdict
    message: str
    seconds: float
    passes: int
    runs: int
    findings: tuple[Finding, ...]
    measures: Mapping[str, float]
    deviations: tuple[Deviation, ...]
    evidence: Sequence[JsonObject]

    @property
    def name(self) -> str:
        """The check's name."""
        return self.check.name

    def to_json(self) -> dict[str, JsonValue]:
        """The row of a report."""
        return {
            "name": self.check.name,
            "purpose": self.check.purpose,
            "kind": self.check.kind,
            "tags": sorted(self.check.tags),
            "requires": list(self.check.needs),
            "client": self.client,
            "verdict": self.verdict,
            "message": self.message,
            "seconds": round(self.seconds, 3),
            "rate": {"passes": self.passes, "runs": self.runs},
            "findings": encode(self.findings),
            "measures": {name: round(value, 4) for name, value in self.measures.items()},
            "deviations": [
                {"id": d.id, "title": d.title, "releases": d.releases, "source": d.source}
                for d in self.deviations
            ],
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True)
class Difference:
    """What one client saw and another did not; `is_known` where a release is known to do so."""

    check: str
    verdicts: Mapping[str, str]
    is_known: bool

    def to_json(self) -> dict[str, JsonValue]:
        """The entry of a report."""
        return {"check": self.check, "verdicts": dict(self.verdicts), "known": self.is_known}


@dataclass(frozen=True)
class Stopped:
    """Why a run ended before its last check: `unresponsive` or `budget`."""

    code: str
    message: str


@dataclass(frozen=True)
class SuiteResult:
    """A whole run, judged."""

    target: Target
    started: str
    seconds: float
    version: str
    clients: tuple[str, ...]
    repeat: int
    checks: tuple[CheckResult, ...]
    differences: tuple[Difference, ...]
    unreachable: str | None
    stopped: Stopped | None
    exit_code: ExitCode

    @property
    def verdict(self) -> Verdict:
        """The whole run in one word."""
        return VERDICT_OF[self.exit_code]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks ended with each verdict, and how many are known deviations."""
        counts: dict[str, int] = {v: sum(c.verdict == v for c in self.checks) for v in VERDICTS}
        counts[KNOWN_DEVIATION] = sum(bool(c.deviations) for c in self.checks)
        return counts

    def to_json(self) -> dict[str, JsonValue]:
        """The data of `smoke --json`."""
        return {
            "target": describe(self.target),
            "started": self.started,
            "seconds": self.seconds,
            "version": self.version,
            "clients": list(self.clients),
            "repeat": self.repeat,
            "checks": [one.to_json() for one in self.checks],
            "counts": self.counts,
            "unreachable": self.unreachable,
            "differences": [one.to_json() for one in self.differences],
            "stopped": encode(self.stopped),
            "verdict": self.verdict,
        }


def describe(target: Target) -> dict[str, JsonValue]:
    """The target as a report shows it; no secrets."""
    return {
        "name": target.name,
        "kind": target.kind,
        "url": target.endpoint.base_url,
        "model": target.model,
        "dialect": target.endpoint.dialect,
        "engine": target.engine,
        "release": target.release,
        "max_model_len": target.max_model_len,
        "max_num_seqs": target.max_num_seqs,
        "promises": None if target.promises is None else sorted(target.promises | target.extra),
        "notes": list(target.notes),
    }


def exit_code(checks: Sequence[CheckResult], differences: Sequence[Difference]) -> ExitCode:
    """1 for a failure, a doubt or an unknown difference; 3 where nothing could be checked."""
    if any(c.verdict in ("fail", "inconclusive") and not c.deviations for c in checks):
        return ExitCode.NEGATIVE
    if any(not one.is_known for one in differences):
        return ExitCode.NEGATIVE
    if all(one.verdict == "could not check" for one in checks):
        return ExitCode.PRECONDITION
    return ExitCode.DONE
