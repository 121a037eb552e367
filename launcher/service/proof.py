"""The proof of a new replica: the smoke checks of its profile, before it gets any traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.errors import ExitCode, Problem
from launcher.service.failure import StepFailed
from launcher.smoke.outcome import KNOWN_DEVIATION
from launcher.smoke.run.suite import smoke
from launcher.smoke.targets.instances import of_instance


def prove(instance: str, tags: Sequence[str]) -> str:
    """Run smoke checks against a replica; returns what they add up to.

    Without `tags` the profile's own `smoke:` section says which.

    Raises:
        StepFailed: with exit code 1, a check failed or was inconclusive; nothing could be checked,
            or the budget ended first.
        DeployError: the replica is not ready, or its `smoke:` section is wrong.
    """
    result = smoke(of_instance(instance), tags=tags)
    run = result.payload
    counts = _counts(run.counts)
    if result.exit_code is ExitCode.DONE:
        return counts
    reason = "; ".join(error.message for error in result.errors) or counts
    raise StepFailed(
        Problem(
            "smoke-failed", f"the smoke checks of {instance} did not pass: {reason}", None,
            "`ernie-deploy smoke` of a single instance of it (`up --set service=null --name"
            " trial`) shows each check",
        ),
        ExitCode.NEGATIVE,
    )  # fmt: skip


def _counts(counts: Mapping[str, int]) -> str:
    """`25 passed, 3 known deviations, 7 could not be checked`; known ones do not fail."""
    deviations = counts.get(KNOWN_DEVIATION, 0)
    failed = counts.get("fail", 0) - deviations
    parts = (
        (counts.get("pass", 0), "passed"),
        (failed, "failed"),
        (counts.get("inconclusive", 0), "inconclusive"),
        (deviations, "known deviations"),
        (counts.get("could not check", 0), "could not be checked"),
    )
    return ", ".join(f"{count} {text}" for count, text in parts if count > 0)
