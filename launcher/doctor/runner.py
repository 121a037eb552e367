"""Runs checks, and refuses a start on FAIL."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from launcher.doctor.checks import REGISTRY
from launcher.doctor.model import Check, Finding, Subject, unknown
from launcher.errors import PreconditionError, Problem, UsageError


def run(subject: Subject, *, only_fast: bool = False) -> tuple[Finding, ...]:
    """Every check that applies to `subject`, in the registry's order.

    A question that the machine does not let us ask (no /proc, no permission) is answered UNKNOWN.
    """
    findings = []
    for check in REGISTRY:
        if (only_fast and not check.fast) or not _applies(check, subject):
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
    check_ids = [check.id for check in REGISTRY]
    for name in force:
        if name not in check_ids:
            near = difflib.get_close_matches(name, check_ids, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                UsageError.of(
                    "unknown-check",
                    f"unknown check {name!r}{meant}",
                    "--force",
                    "`ernie-deploy doctor` lists them",
                ).problems
            )
    failed = [f for f in run(subject, only_fast=True) if f.answer == "FAIL"]
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


def _applies(check: Check, subject: Subject) -> bool:
    if check.needs_profile and subject.profile is None:
        return False
    if subject.is_engine("hosted") and "hosted" not in check.engines:
        # Nothing of it runs here: only what is said of the profile itself holds there too.
        return check.id == "profile"
    return not check.engines or subject.profile is None or subject.is_engine(*check.engines)
