"""`ernie-deploy doctor [PROFILE]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options
from launcher.cli.verb import json_option, verb
from launcher.errors import ExitCode, Problem
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.doctor import Finding
    from launcher.report.payloads import DoctorReport


@click.command("doctor", epilog=examples("doctor", "doctor profile.yaml --fast", arguments=PROFILE))
@click.argument("profile", shell_complete=completing.profiles, required=False)
@profile_options
@click.option("--fast", is_flag=True, help="Only the checks that `up` runs first.")
@json_option
@verb
def command(
    profile: str | None,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    fast: bool,
) -> Result[DoctorReport]:
    """Check this machine, and PROFILE on it, before a model is loaded.

    Every answer has its evidence: PASS, WARN, FAIL, or UNKNOWN where it could not be found out.
    Exit code 1 when a check says FAIL. Of a profile with a `service:` section one replica, the
    front door, and whether all replicas fit.
    """
    from launcher import doctor

    if profile is None:
        subject = doctor.machine()
    else:
        from launcher.instance.store import instance_dir, keeper_of

        loaded = load_profile(profile, overlays, sets, name)
        if loaded.service is not None:
            from launcher.service.examination import examine

            return _report(examine(loaded, only_fast=fast), loaded.name)
        subject = doctor.of_profile(loaded, keeper=keeper_of(instance_dir(loaded.name)))
    findings = doctor.run(subject, only_fast=fast)
    return _report(findings, subject.profile.name if subject.profile else None)


def _report(findings: tuple[Finding, ...], name: str | None) -> Result[DoctorReport]:
    from launcher.report.payloads import DoctorReport

    failed = [f for f in findings if f.status == "FAIL"]
    counts = {a: sum(f.status == a for f in findings) for a in ("PASS", "WARN", "FAIL", "UNKNOWN")}
    return Result(
        "doctor",
        DoctorReport(tuple(findings), counts),
        name,
        ExitCode.NEGATIVE if failed else ExitCode.DONE,
        (_failed([f.check for f in failed]),) if failed else (),
    )


def _failed(names: list[str]) -> Problem:
    page = "strategy-impossible" if names[0] == "replicas" else names[0]
    return Problem(
        "doctor-failed", f"FAIL: {', '.join(names)}", None, f"`ernie-deploy explain {page}`"
    )
