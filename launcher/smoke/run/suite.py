"""The whole suite over one target: which checks, through which clients, and what it adds up to."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence

from launcher import __version__
from launcher.errors import ExitCode, Problem, UsageError
from launcher.json_values import integer_at, list_at, number_at
from launcher.nearest import did_you_mean
from launcher.result import Result
from launcher.smoke.check import Check, all_checks
from launcher.smoke.clients import DIALECTS, client
from launcher.smoke.clients.base import Client
from launcher.smoke.clients.transcript import Redactor
from launcher.smoke.outcome import Finding, Outcome
from launcher.smoke.run import record
from launcher.smoke.run.agreement import disagreements
from launcher.smoke.run.deviations import KnownDeviation, explained
from launcher.smoke.run.liveness import BUDGET_SECONDS
from launcher.smoke.run.results import (
    VERDICT_OF,
    CheckList,
    CheckResult,
    Difference,
    Rate,
    SmokeRun,
    Stopped,
    count_results,
    entry_of,
    exit_code,
)
from launcher.smoke.run.runner import CheckRun, Progress, never_connected, run
from launcher.smoke.section.custom import custom_checks
from launcher.smoke.section.limits import seconds
from launcher.smoke.tags import TAGS
from launcher.smoke.target import Target


def select(
    checks: Sequence[Check], names: Sequence[str] = (), tags: Sequence[str] = ()
) -> list[Check]:
    """The checks of these names and of these tags; with neither, the quick ones.

    Raises:
        UsageError: a name or tag that does not exist; names the nearest.
    """
    by_name = {c.name: c for c in checks}
    tag_names = set(TAGS) | {t for c in checks for t in c.tags}
    for requested, having, option in ((names, by_name, "--check"), (tags, tag_names, "--tag")):
        for word in requested:
            if word not in having:
                meant = did_you_mean(word, having)
                raise UsageError.of(
                    "unknown-check" if option == "--check" else "unknown-tag",
                    f"unknown {option.strip('-')} {word!r}{meant}",
                    option,
                    f"one of: {', '.join(sorted(having))}",
                )
    if not names and not tags:
        tags = ("quick",)
    return [c for c in checks if c.name in names or c.tags & set(tags)]


def catalogue(names: Sequence[str] = (), tags: Sequence[str] = ()) -> Result[CheckList]:
    """What can be checked, without a target: every check, or those of these names and tags.

    Raises:
        UsageError: a name or tag that does not exist.
    """
    checks = all_checks()
    chosen = select(checks, names, tags if names or tags else ("full",))
    more = sorted({t for c in checks for t in c.tags} - set(TAGS))
    listed = CheckList(tuple(map(entry_of, chosen)), {**TAGS, **dict.fromkeys(more, "")})
    return Result("smoke", listed)


def clients_for(target: Target, requested: Sequence[str]) -> list[str]:
    """The names of the clients to ask through; `all` means those of the target's dialect."""
    names: list[str] = []
    for word in requested or ("requests",):
        more = DIALECTS[target.endpoint.dialect] if word == "all" else (word,)
        names += [n for n in more if n not in names]
    return names


def smoke(
    target: Target,
    *,
    names: Sequence[str] = (),
    tags: Sequence[str] = (),
    clients: Sequence[str] = (),
    repeat: int | None = None,
    budget: float | None = None,
    progress: Progress | None = None,
) -> Result[SmokeRun]:
    """`run_suite` as the result of a command: the exit code, and what made it.

    The run is kept as the last one of a target that is ours, unless single checks were named.

    Raises:
        UsageError, PreconditionError: see `run_suite`.
    """
    done = run_suite(
        target,
        names=names,
        tags=tags,
        clients=clients,
        repeat=repeat,
        budget=budget,
        progress=progress,
    )
    name = target.name if target.kind == "instance" else None
    errors = _reasons(done)
    if target.folder is not None and not names:
        problem = record.keep(target.folder, done, round(time.time(), 3))
        errors = (*errors, problem) if problem is not None else errors
    return Result("smoke", done, name, done.exit_code, errors)


def run_suite(
    target: Target,
    *,
    names: Sequence[str] = (),
    tags: Sequence[str] = (),
    clients: Sequence[str] = (),
    repeat: int | None = None,
    budget: float | None = None,
    progress: Progress | None = None,
) -> SmokeRun:
    """Run the suite and judge it; what is not said here, the profile's section says.

    `budget` bounds the whole run, in seconds.

    Raises:
        UsageError: an unknown check, tag or client, or a wrong `smoke:` section.
        PreconditionError: a client's package is missing.
    """
    custom = custom_checks(target)
    if not names and not tags:
        names, tags = _asked_by_profile(target, custom)
    chosen = select([*all_checks(), *custom], names, tags)
    if repeat is None:
        repeat = integer_at(target.smoke, "repeat") or 1
    used = clients_for(target, clients)
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.timezone.utc)
    through = [client(n) for n in used]
    if budget is None:
        budget = seconds(target.smoke.get("budget") or BUDGET_SECONDS)
    ended = run(target, chosen, through, repeat=repeat, progress=progress, budget=budget)
    nowhere = never_connected(ended.checks)
    if nowhere:
        # Nothing was asked, so nothing is judged: not even the checks that found it out.
        for one in ended.checks:
            one.outcomes = [Outcome("could not check", nowhere)]
    checks = tuple(_judged(target, one, repeat) for one in ended.checks)
    differences = (*_differences(checks), *_disagreements(target, through, checks, ended.stopped))
    stopped = Stopped(ended.stopped, ended.reason) if ended.stopped else None
    return SmokeRun(
        target=target.facts,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begun, 3),
        version=__version__,
        clients=tuple(used),
        repeat=repeat,
        checks=checks,
        counts=count_results(checks),
        unreachable=Redactor(target.secrets).text(nowhere) if nowhere else None,
        differences=differences,
        stopped=stopped,
        verdict=VERDICT_OF[exit_code(checks, differences, stopped)],
    )


def _reasons(done: SmokeRun) -> tuple[Problem, ...]:
    """What made the exit code, by the names of the checks."""
    code = done.exit_code
    if code is ExitCode.DONE:
        return ()
    if code is ExitCode.DEADLINE:
        left = [c for c in done.checks if c.verdict == "could not check"]
        reason = left[-1].message if left else ""
        return (Problem("budget-used-up", f"{len(left)} checks were not carried out: {reason}"),)
    if code is ExitCode.PRECONDITION:
        reason = next((c.message for c in done.checks if c.message), "no check applies")
        return (Problem("nothing-checked", f"nothing could be checked: {reason}"),)
    reasons = []
    failed, vague = _named(done.checks, "fail"), _named(done.checks, "inconclusive")
    if failed:
        reasons.append(Problem("checks-failed", f"fail: {failed}"))
    if vague:
        reasons.append(Problem("checks-inconclusive", f"inconclusive: {vague}"))
    differing = [d.check for d in done.differences if not d.is_known]
    if differing:
        reasons.append(Problem("clients-differ", f"clients differ: {', '.join(differing)}"))
    return tuple(reasons)


def _named(checks: Sequence[CheckResult], verdict: str) -> str:
    names = (c.name for c in checks if c.verdict == verdict and not c.deviations)
    return ", ".join(dict.fromkeys(names))


def _asked_by_profile(target: Target, custom: Sequence[Check]) -> tuple[list[str], list[str]]:
    """What runs by default: the section's checks and tags, else the quick ones and its own."""
    names = [str(n) for n in list_at(target.smoke, "checks")]
    tags = [str(t) for t in list_at(target.smoke, "tags")]
    if not names and not tags:
        tags = ["quick", "dialect"] if target.endpoint.dialect == "anthropic" else ["quick"]
    return [*names, *(c.name for c in custom)], tags


def _disagreements(
    target: Target,
    through: Sequence[Client],
    checks: Sequence[CheckResult],
    stopped: str | None,
) -> list[Difference]:
    answered = any(one.verdict == "pass" and one.client != "http" for one in checks)
    if stopped or len(through) < 2 or not answered:
        return []
    return disagreements(target, through)


def _known_as(target: Target, one: CheckRun) -> tuple[tuple[str | None, str | None], ...]:
    """Engine and release of all that had a part in the answers."""
    server = (target.engine, target.release)
    in_dialect = (
        target.endpoint.dialect == "anthropic"
        or one.client == "anthropic"
        or "dialect" in one.check.tags
    )
    return (server, target.gateway) if target.gateway and in_dialect else (server,)


def _judged(target: Target, one: CheckRun, repeat: int) -> CheckResult:
    outcome = one.outcome
    # A server can say the key that it was sent: in an error, in a header, in an answer.
    safe = Redactor(target.secrets).text
    least = number_at(target.smoke, "thresholds", "pass-rate")
    verdict = outcome.verdict
    message = outcome.message
    if repeat > 1 and verdict != "could not check" and one.passes < len(one.outcomes):
        message = f"{one.passes} of {len(one.outcomes)} runs passed; {message}"
        if one.passes / len(one.outcomes) >= (1.0 if least is None else least):
            verdict = "pass"
    deviations: tuple[KnownDeviation, ...] = ()
    if verdict == "fail":
        deviations = explained(_known_as(target, one), one.check.name, one.outcomes)
    return CheckResult(
        check=entry_of(one.check),
        client=one.client,
        verdict=verdict,
        message=safe(message),
        seconds=round(one.seconds, 3),
        rate=Rate(one.passes, len(one.outcomes)),
        findings=tuple(Finding(f.code, safe(f.expected), safe(f.actual)) for f in outcome.findings),
        measures={name: round(value, 4) for name, value in outcome.measures.items()},
        deviations=deviations,
        evidence=one.evidence,
    )


def _differences(checks: Sequence[CheckResult]) -> list[Difference]:
    """Checks that end differently for different clients: one user sees what another does not."""
    by_name: dict[str, dict[str, CheckResult]] = {}
    for one in checks:
        if one.verdict != "could not check":
            by_name.setdefault(one.name, {})[one.client] = one
    differences = []
    for name, by_client in by_name.items():
        verdicts = {client: one.verdict for client, one in by_client.items()}
        if len(set(verdicts.values())) > 1:
            is_known = all(one.verdict == "pass" or one.deviations for one in by_client.values())
            differences.append(Difference(name, verdicts, is_known))
    return differences
