"""The whole suite over one target: which checks, through which clients, and what it adds up to."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

from launcher import __version__
from launcher.errors import ExitCode, Problem, UsageError
from launcher.json_values import JsonObject
from launcher.nearest import did_you_mean
from launcher.result import Result
from launcher.smoke.check import Check, all_checks
from launcher.smoke.clients import DIALECTS, client
from launcher.smoke.clients.base import Client
from launcher.smoke.clients.transcript import Redactor
from launcher.smoke.outcome import VERDICTS, Outcome
from launcher.smoke.run.agreement import disagreements
from launcher.smoke.run.deviations import explained
from launcher.smoke.run.liveness import BUDGET_SECONDS
from launcher.smoke.run.runner import CheckRun, Progress, never_connected, run
from launcher.smoke.section.custom import custom_checks
from launcher.smoke.section.limits import seconds
from launcher.smoke.tags import TAGS
from launcher.smoke.target import Target

VERDICT_OF = {
    ExitCode.DONE: "pass",
    ExitCode.NEGATIVE: "fail",
    ExitCode.PRECONDITION: "could not check",
    ExitCode.DEADLINE: "could not check",
}


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


def catalogue(names: Sequence[str] = (), tags: Sequence[str] = ()) -> Result[JsonObject]:
    """What can be checked, without a target: every check, or those of these names and tags.

    Raises:
        UsageError: a name or tag that does not exist.
    """
    checks = all_checks()
    chosen = select(checks, names, tags if names or tags else ("full",))
    rows = [
        {
            "name": c.name,
            "purpose": c.purpose,
            "kind": c.kind,
            "tags": sorted(c.tags),
            "needs": list(c.needs),
        }
        for c in chosen
    ]
    more = sorted({t for c in checks for t in c.tags} - set(TAGS))
    return Result("smoke", {"checks": rows, "tags": {**TAGS, **dict.fromkeys(more, "")}})


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
) -> Result[JsonObject]:
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
    repeat = repeat if repeat is not None else int(target.smoke.get("repeat") or 1)
    used = clients_for(target, clients)
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.timezone.utc)
    through = [client(n) for n in used]
    if budget is None:
        budget = seconds(target.smoke.get("budget") or BUDGET_SECONDS)
    ended = run(target, chosen, through, repeat=repeat, progress=progress, budget=budget)
    runs = ended.checks
    nowhere = never_connected(runs)
    if nowhere:
        # Nothing was asked, so nothing is judged: not even the checks that found it out.
        for one in runs:
            one.outcomes = [Outcome("could not check", nowhere)]
    rows = [_row(target, one, repeat) for one in runs]
    disagreements = [] if ended.stopped else _disagreements(target, through, rows)
    differences = [*_differences(rows), *disagreements]
    data: dict[str, Any] = {
        "target": describe(target),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - begun, 3),
        "version": __version__,
        "clients": used,
        "repeat": repeat,
        "checks": rows,
        "counts": _counts(rows),
        "unreachable": Redactor(target.secrets).text(nowhere) if nowhere else None,
        "differences": differences,
        "stopped": {"code": ended.stopped, "message": ended.reason} if ended.stopped else None,
    }
    code = exit_code(rows, data["differences"])
    if ended.stopped == "budget" and code is not ExitCode.NEGATIVE:
        # What was not asked may be wrong: a run that was cut short is not a pass.
        code = ExitCode.DEADLINE
    data["verdict"] = VERDICT_OF[code]
    name = target.name if target.kind == "instance" else None
    return Result("smoke", data, name, code, _reasons(code, rows, differences))


def _reasons(
    code: ExitCode, rows: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]
) -> tuple[Problem, ...]:
    """What made the exit code, by the names of the checks."""
    if code is ExitCode.DONE:
        return ()
    if code is ExitCode.DEADLINE:
        left = [c for c in rows if c["verdict"] == "could not check"]
        reason = left[-1]["message"] if left else ""
        return (Problem("budget-used-up", f"{len(left)} checks were not carried out: {reason}"),)
    if code is ExitCode.PRECONDITION:
        reason = next((c["message"] for c in rows if c["message"]), "no check applies")
        return (Problem("nothing-checked", f"nothing could be checked: {reason}"),)
    reasons = []
    failed, vague = _named(rows, "fail"), _named(rows, "inconclusive")
    if failed:
        reasons.append(Problem("checks-failed", f"fail: {failed}"))
    if vague:
        reasons.append(Problem("checks-inconclusive", f"inconclusive: {vague}"))
    differing = [d["check"] for d in differences if not d["known"]]
    if differing:
        reasons.append(Problem("clients-differ", f"clients differ: {', '.join(differing)}"))
    return tuple(reasons)


def _named(rows: Sequence[Mapping[str, Any]], verdict: str) -> str:
    names = (c["name"] for c in rows if c["verdict"] == verdict and not c["deviations"])
    return ", ".join(dict.fromkeys(names))


def _asked_by_profile(target: Target, custom: Sequence[Check]) -> tuple[list[str], list[str]]:
    """What runs by default: the section's checks and tags, else the quick ones and its own."""
    names = [str(n) for n in target.smoke.get("checks") or ()]
    tags = [str(t) for t in target.smoke.get("tags") or ()]
    if not names and not tags:
        tags = ["quick", "dialect"] if target.endpoint.dialect == "anthropic" else ["quick"]
    return [*names, *(c.name for c in custom)], tags


def _disagreements(
    target: Target, through: Sequence[Client], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    answered = any(one["verdict"] == "pass" and one["client"] != "http" for one in rows)
    return disagreements(target, through) if len(through) > 1 and answered else []


def describe(target: Target) -> dict[str, Any]:
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


def exit_code(
    rows: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]
) -> ExitCode:
    """1 for a failure, a doubt or an unknown difference; 3 where nothing could be checked."""
    for one in rows:
        if one["verdict"] in ("fail", "inconclusive") and not one["deviations"]:
            return ExitCode.NEGATIVE
    if any(not d["known"] for d in differences):
        return ExitCode.NEGATIVE
    if all(one["verdict"] == "could not check" for one in rows):
        return ExitCode.PRECONDITION
    return ExitCode.DONE


def _row(target: Target, one: CheckRun, repeat: int) -> dict[str, Any]:
    outcome = one.outcome
    # A server can say the key that it was sent: in an error, in a header, in an answer.
    safe = Redactor(target.secrets).text
    least = float(target.smoke.get("thresholds", {}).get("pass-rate", 1.0))
    verdict = outcome.verdict
    message = outcome.message
    rate = {"passes": one.passes, "draws": len(one.outcomes)}
    if repeat > 1 and verdict != "could not check" and one.passes < len(one.outcomes):
        message = f"{one.passes} of {len(one.outcomes)} draws passed; {message}"
        if one.passes / len(one.outcomes) >= least:
            verdict = "pass"
    deviations = (
        explained(target.engine, target.release, one.check.name, one.outcomes)
        if verdict == "fail"
        else ()
    )
    return {
        "name": one.check.name,
        "purpose": one.check.purpose,
        "kind": one.check.kind,
        "tags": sorted(one.check.tags),
        "needs": list(one.check.needs),
        "client": one.client,
        "verdict": verdict,
        "message": safe(message),
        "seconds": round(one.seconds, 3),
        "rate": rate,
        "findings": [
            {"code": f.code, "expected": safe(f.expected), "got": safe(f.got)}
            for f in outcome.findings
        ],
        "measures": {k: round(v, 4) for k, v in outcome.measures.items()},
        "deviations": [
            {"id": d.id, "title": d.title, "releases": d.releases, "source": d.source}
            for d in deviations
        ],
        "evidence": one.evidence,
    }


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {v: sum(one["verdict"] == v for one in rows) for v in VERDICTS}
    counts["known deviation"] = sum(bool(one["deviations"]) for one in rows)
    return counts


def _differences(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Checks that end differently for different clients: one user sees what another does not."""
    by_name: dict[str, dict[str, Mapping[str, Any]]] = {}
    for one in rows:
        if one["verdict"] != "could not check":
            by_name.setdefault(one["name"], {})[one["client"]] = one
    differences = []
    for name, by_client in by_name.items():
        verdicts = {c: str(o["verdict"]) for c, o in by_client.items()}
        if len(set(verdicts.values())) > 1:
            is_known = all(o["verdict"] == "pass" or o["deviations"] for o in by_client.values())
            differences.append({"check": name, "verdicts": verdicts, "known": is_known})
    return differences
