"""Runs checks, and refuses a start on FAIL."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.doctor.checks import checks_of, every_check
from launcher.doctor.model import Finding, Subject, unknown
from launcher.errors import PreconditionError, Problem, UsageError
from launcher.nearest import did_you_mean


def run(subject: Subject, *, only_fast: bool = False) -> tuple[Finding, ...]:
    """Every check that applies to `subject`, in the order in which they are shown.

    A question that the machine does not let us ask (no /proc, no permission) is answered UNKNOWN.
    """
    findings = []
    for check in checks_of(subject):
        if only_fast and not check.fast:
            continue
        try:
            outcome = check.function(subject)
        except OSError as error:
            outcome = unknown(f"this could not be asked: {error}")
        if outcome is not None:
            findings.append(
                Finding(
                    check.id,
                    check.title,
                    outcome.answer,
                    outcome.evidence,
                    check.why,
                    outcome.remedy,
                    check.fast,
                )
            )
    return tuple(findings)


def gate(subject: Subject, force: Sequence[str]) -> tuple[str, ...]:
    """Run the fast checks before a start; returns the failed ones that `force` overrides.

    Raises:
        PreconditionError: checks say FAIL and are not forced; each is a problem whose code is
            the check's id.
        UsageError: `force` names no check.
    """
    check_ids = [check.id for check in every_check()]
    for name in force:
        if name not in check_ids:
            meant = did_you_mean(name, check_ids)
            raise UsageError(
                UsageError.of(
                    "unknown-check",
                    f"unknown check {name!r}{meant}",
                    "--force",
                    "`ernie-deploy doctor` lists them",
                ).problems
            )
    failed = [f for f in run(subject, only_fast=True) if f.status == "FAIL"]
    refused = [f for f in failed if f.check not in force]
    if refused:
        raise PreconditionError(
            Problem(
                f.check,
                f"{f.evidence}; wanted: {f.title}",
                None,
                f"{f.remedy}; `--force {f.check}` starts anyway",
            )
            for f in refused
        )
    return tuple(f.check for f in failed)
