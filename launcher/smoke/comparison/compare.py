"""Several targets side by side, and the difference to a stored baseline."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher import __version__
from launcher.errors import ExitCode, PreconditionError, Problem, UsageError
from launcher.paths import write_file
from launcher.result import Result
from launcher.smoke.comparison import toolset
from launcher.smoke.comparison.cost import cost, list_price, prices, throughput
from launcher.smoke.run.runner import SILENT_CODES
from launcher.smoke.run.suite import smoke
from launcher.smoke.target import Target

BASELINE_SCHEMA = "ernie-deploy/baseline/1"
RATES = ("trigger_rate", "trigger_accuracy", "schema_accuracy")
NO_ANSWER = SILENT_CODES | {"closed", "redirected"}
EVIDENCE = 3
"""So many requests of a check that did not pass are kept."""
TOLERANCE = 0.05
"""By how much a rate may fall before it is a regression: one draw in twenty prompts."""


def compare(
    targets: Sequence[Target],
    *,
    names: Sequence[str] = (),
    tags: Sequence[str] = (),
    prompts: Path | None = None,
    baseline: Path | None = None,
    save: Path | None = None,
    gpu_hour: float | None = None,
    gpus: int = 1,
    price_file: Path | None = None,
) -> Result:
    """Run the suite and the tool prompts against every target.

    Raises:
        UsageError: a file is missing or wrong, an unknown check or tag, or a target twice.
        PreconditionError: the baseline could not be stored.
    """
    twice = sorted({t.name for t in targets if [o.name for o in targets].count(t.name) > 1})
    if twice:
        raise UsageError.of(
            "duplicate-target", f"{', '.join(twice)} is named more than once", "TARGETS"
        )
    questions = toolset.prompts(prompts)
    entries = prices(price_file) if gpu_hour is not None else []
    stored = _read(baseline) if baseline else None
    problem = _written(save, None) if save else None
    if problem:
        raise PreconditionError(problem)
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    columns = [_column(t, questions, names, tags) for t in targets]
    if gpu_hour is not None:
        for column, target in zip(columns, targets, strict=True):
            column["cost"] = _cost(column, target, gpu_hour, gpus, entries)
    reference = columns[0]["tools"]["triggered"]
    for column in columns:
        column["tools"]["agreement"] = toolset.agreement(reference, column["tools"]["triggered"])
    regressions = regressed(stored, columns) if stored else []
    data = {
        "started": started,
        "seconds": round(time.monotonic() - begun, 3),
        "version": __version__,
        "targets": columns,
        "checks": _table(columns),
        "baseline": str(baseline) if baseline else None,
        "saved": str(save) if save else None,
        "regressions": regressions,
    }
    # A baseline that could not be stored after all must not take the comparison with it.
    problem = _written(save, columns) if save else None
    if any(c["verdict"] == "could not check" for c in columns):
        code = ExitCode.PRECONDITION
    else:
        code = ExitCode.NEGATIVE if regressions else ExitCode.DONE
    if regressions:
        code = ExitCode.NEGATIVE
    if problem:
        data["saved"] = None
        code = code or ExitCode.PRECONDITION
    return Result("compare", data, None, code, (problem,) if problem else ())


def regressed(
    stored: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """What is worse than in the baseline: verdicts that were a pass, rates that fell.

    A target or a check that the baseline has and this run has not is a regression, too: a gate
    must not pass because something was left out.
    """
    regressions: list[dict[str, str]] = []
    now = {c["name"]: c for c in columns}
    for name, before in stored["targets"].items():
        column = now.get(name)
        if column is None:
            regressions.append(
                {"target": name, "what": "target", "was": "compared", "is": "missing"}
            )
            continue
        for check, verdict in before["verdicts"].items():
            is_now = column["verdicts"].get(check, "not run")
            if verdict == "pass" and is_now != "pass":
                regressions.append({"target": name, "what": check, "was": verdict, "is": is_now})
        for rate in RATES:
            was, is_rate = before["tools"].get(rate), column["tools"].get(rate)
            if was is not None and (is_rate is None or is_rate < was - TOLERANCE):
                regressions.append(
                    {"target": name, "what": rate, "was": str(was), "is": str(is_rate)}
                )
    return regressions


def _column(
    target: Target,
    questions: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    tags: Sequence[str],
) -> dict[str, Any]:
    result = smoke(target, names=names, tags=tags)
    data = result.data
    measures: dict[str, Any] = {c["name"]: c["measures"] for c in data["checks"]}
    timing = measures.get("stream-timing", {})
    chat = measures.get("chat", {})
    silent = _never_answered(data["checks"])
    reachable = data["verdict"] != "could not check" and not silent
    return {
        "name": target.name,
        "target": data["target"],
        "verdict": data["verdict"] if reachable else "could not check",
        "problem": None if reachable else _why(data),
        "stopped": data["stopped"],
        "counts": data["counts"],
        "verdicts": {c["name"]: c["verdict"] for c in data["checks"]},
        "messages": {c["name"]: c["message"] for c in data["checks"]},
        "started": data["started"],
        "seconds": data["seconds"],
        "checks": [_without_old_evidence(c) for c in data["checks"] if c["verdict"] != "pass"],
        "deviations": {c["name"]: [d["id"] for d in c["deviations"]] for c in data["checks"]},
        "first_token_seconds": timing.get("first_token_seconds"),
        "tokens_per_second": timing.get("tokens_per_second"),
        "chat_seconds": chat.get("seconds"),
        "completion_tokens": chat.get("completion_tokens"),
        "tools": toolset.measure(target, questions)
        if reachable
        else toolset.counted([{"error": "not reachable"}] * len(questions)),
    }


def _without_old_evidence(one: Mapping[str, Any]) -> dict[str, Any]:
    """A check with its last requests: what ended it; `smoke` shows all."""
    return {**one, "evidence": one["evidence"][-EVIDENCE:]}


def _never_answered(runs: Sequence[Mapping[str, Any]]) -> bool:
    """True where no check got so far as to judge an answer: the target is not there."""
    judged = [c for c in runs if c["verdict"] != "could not check"]
    return bool(judged) and all(
        c["findings"] and all(f["code"] in NO_ANSWER for f in c["findings"]) for c in judged
    )


def _why(data: Mapping[str, Any]) -> str:
    """The first thing that stood in the way."""
    if data["stopped"]:
        return str(data["stopped"]["message"])
    order = sorted(data["checks"], key=lambda c: c["verdict"] != "fail")
    return str(order[0]["message"]) if order else "no check was chosen"


def _cost(
    column: Mapping[str, Any],
    target: Target,
    gpu_hour: float,
    gpus: int,
    entries: list[Mapping[str, Any]],
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    listed = list_price(target.model, entries)
    if listed:
        row["list"] = {k: listed.get(k) for k in ("provider", "input", "output")}
    if target.kind == "hosted":
        return row
    measured = throughput(target) if column["verdict"] != "could not check" else None
    if measured:
        row |= {"measured": measured, **cost(gpu_hour, gpus, measured)}
    else:
        row["problem"] = "no tokens per second could be measured"
    return row


def _table(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names: dict[str, None] = {}
    for column in columns:
        names.update(dict.fromkeys(column["verdicts"]))
    table = []
    for name in names:
        verdicts = [c["verdicts"].get(name, "not run") for c in columns]
        cells = [
            "known deviation" if c["deviations"].get(name) else v
            for c, v in zip(columns, verdicts, strict=True)
        ]
        is_equal = len(set(cells)) == 1
        table.append({"check": name, "verdicts": verdicts, "shown": cells, "same": is_equal})
    return table


def _written(path: Path, columns: Sequence[Mapping[str, Any]] | None) -> Problem | None:
    """Store the baseline, or only try to where there is none yet; what stood in the way."""
    kept = {
        "schema": BASELINE_SCHEMA,
        "targets": {
            c["name"]: {
                "verdicts": c["verdicts"],
                "tools": {rate: c["tools"][rate] for rate in RATES},
            }
            for c in columns or ()
        },
    }
    text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
    try:
        write_file(path, text if columns is not None else None)
    except OSError as error:
        message = f"the baseline cannot be written: {error.strerror}"
        return Problem("baseline-not-written", message, str(path))
    return None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError.of(
            "bad-baseline",
            f"the baseline cannot be read: {error}",
            str(path),
            "write one with --save-baseline",
        ) from error
    if not isinstance(data, dict) or data.get("schema") != BASELINE_SCHEMA:
        raise UsageError.of(
            "bad-baseline", f"not a baseline of schema {BASELINE_SCHEMA}", str(path)
        )
    return data
