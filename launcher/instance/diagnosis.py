"""`diagnose NAME`: of a ready instance its server is asked first, as `status` asks it.

A log cannot tell that a server hangs, nor that it is well: 500s that bad requests brought stand
in the logs of every healthy server. So the answers decide, and the logs say why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from launcher.diagnose import log_rules_of, newest_of_instance, rule_of_answer
from launcher.diagnose.diagnosis import Diagnosis
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.first_cause import Report, errors_as_note, first_cause
from launcher.instance.health import Health, ask_completion
from launcher.instance.status import describe, message
from launcher.instance.store import InstanceDir, view
from launcher.lifecycle import LIVE, InstanceState
from launcher.result import Result

CAUSES = ("failure", "summary", "symptom")
"""Kinds of rules that can be why a server does not answer: one refused request is not."""


def diagnose_instance(instance: InstanceDir) -> Result:
    """What the instance is, what its server answers, and the first cause that its logs show.

    The exit code is not 0 where `status` says that a ready instance is not well.

    Raises:
        PreconditionError: nothing is known: its plan cannot be read, or it runs and has no logs.
    """
    row = describe(instance)
    if row["state"] == InstanceState.READY:
        return _of_ready(instance, row)
    result = _no_request(first_cause(instance))
    if result.data["state"] is not None or row["state"] not in (*LIVE, "unknown"):
        return result
    report = Report(row["state"], message(row))
    if row["state"] != InstanceState.UNKNOWN:
        return _with(instance.name, result.data, report, result.exit_code)
    # The keeper does not answer: `status` cannot tell either how the server is.
    remedy = (
        f"`ernie-deploy logs {instance.name} --source keeper`;"
        f" `ernie-deploy down {instance.name}` ends it"
    )
    report = Report(InstanceState.UNKNOWN, message(row), None, remedy)
    return _with(instance.name, result.data, report, ExitCode.NEGATIVE)


def _of_ready(instance: InstanceDir, row: Mapping[str, Any]) -> Result:
    plan = instance.plan()
    health = Health(
        row.get("healthy"), str(row.get("health")), row.get("health_status"),
        str(row.get("health_body") or ""), row.get("health_remedy"),
    )  # fmt: skip
    completion = ask_completion(plan) if health.well else None
    ill = next((one for one in (health, completion) if one and one.well is False), None)
    if ill is not None and view(instance)[0] not in LIVE:
        return first_cause(instance)  # it ended while it was asked
    result = _logs(instance)
    answers = {"health": health.message, "completion": completion and completion.message}
    if ill is None:
        summary = " and ".join(one.message for one in (health, completion) if one)
        report = Report(InstanceState.READY, f"{instance.name} is ready: {summary}")
        data = _without_requests(result.data)
        code = ExitCode.NEGATIVE if data["rule"] else ExitCode.DONE
        return _with(instance.name, data, report, code, answers=answers)
    data = dict(result.data)
    if data["kind"] not in CAUSES:
        data = _set_aside(data)
        rule_match = rule_of_answer(log_rules_of(plan), plan.failure_rules, ill.status, ill.body)
        if rule_match is not None:
            alternatives = [one for one in data["others"] if one["rule"] != rule_match.rule_id]
            data = {**data, **rule_match.to_json(), "others": alternatives}
    state = instance.state()
    newest = newest_of_instance(
        Path(plan.log_folder),
        instance.engine_log,
        log_rules=log_rules_of(plan),
        noise=plan.noise,
        since=state.started_at if state else None,
        unwanted=(f" {plan.readiness.health_path} ", f" {plan.readiness.completion_path} "),
    )
    data["newest"] = [line.to_json() for line in newest]
    remedy = None if data["rule"] and not ill.remedy else _remedy(instance, row, ill)
    report = Report("unhealthy", f"{instance.name} is unhealthy: {ill.message}", None, remedy)
    return _with(instance.name, data, report, ExitCode.NEGATIVE, answers=answers)


def _remedy(instance: InstanceDir, row: Mapping[str, Any], ill: Health) -> str:
    restart = f"`ernie-deploy restart {instance.name}` ends it and starts it again"
    if ill.remedy:
        return f"{ill.remedy}; {restart}"
    if ill.message.startswith("port "):
        return f"end that process; then {restart}"
    if "timed out" in ill.message:
        where = f"before that, `py-spy dump --pid {row.get('pid')}` shows where it hangs"
        return f"{restart}; {where}; a server with many requests may only be busy"
    return f"{restart}; `ernie-deploy logs {instance.name}` shows what it printed"


def _logs(instance: InstanceDir) -> Result:
    """What the logs show; nothing where there are none: the server has answered."""
    try:
        return first_cause(instance)
    except PreconditionError as error:
        if error.problems[0].code != "no-logs":
            raise
        nothing = Diagnosis(None, "no logs were written", "", retry=False).to_json()
        return Result("diagnose", {**nothing, "source": str(instance.logs), "state": None})


def _without_requests(data: Mapping[str, Any]) -> dict[str, Any]:
    """The logs of a server that answers: a refused request is not a cause."""
    left = _set_aside(data) if data["kind"] == "request" else dict(data)
    if left["first_errors"] and not left["rule"]:
        left["remedy"] = ""
    return errors_as_note(left, "the server answers")


def _no_request(result: Result) -> Result:
    """The same where one refused request is all that its logs hold: nothing ended by that."""
    if result.data["kind"] != "request":
        return result
    data, report = _set_aside(result.data), result.data["state"]
    if report is not None:
        data["cause"], data["remedy"] = report["message"], report["remedy"] or ""
    ended_well = report is None or report["name"] == InstanceState.STOPPED
    code = ExitCode.DONE if ended_well else ExitCode.NEGATIVE
    return Result("diagnose", data, result.instance, code)


def _set_aside(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with its first rule among the others."""
    keys = ("rule", "kind", "cause", "remedy", "retry", "evidence")
    left = {**data, "rule": None, "kind": "", "cause": "", "remedy": "", "retry": False}
    left["evidence"] = None
    if data["rule"]:
        left["others"] = [{key: data[key] for key in keys}, *data["others"]]
    return left


def _with(
    name: str, diagnosis: Mapping[str, Any], report: Report, code: ExitCode, **more: Any
) -> Result:
    data = {**diagnosis, **more, "state": asdict(report)}
    if not data["rule"] and not data["first_errors"]:
        data["cause"], data["remedy"] = report.message, report.remedy or ""
    return Result("diagnose", data, name, code)
