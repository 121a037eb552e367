"""`diagnose NAME`: of a ready instance its server is asked first, as `status` asks it.

A log cannot tell that a server hangs, nor that it is well: 500s that bad requests brought stand
in the logs of every healthy server. So the answers decide, and the logs say why.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from launcher.diagnose import log_rules_of, newest_of_instance, rule_of_answer
from launcher.diagnose.diagnosis import Diagnosis
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.first_cause import (
    Answers,
    InstanceDiagnosis,
    Report,
    errors_as_note,
    first_cause,
)
from launcher.instance.health import Health, ask_completion
from launcher.instance.instance_status import HealthReport, InstanceStatus
from launcher.instance.status import describe, message
from launcher.instance.store import InstanceDir, view
from launcher.lifecycle import LIVE, InstanceState
from launcher.result import Result

CAUSES = ("failure", "summary", "symptom")
"""Kinds of rules that can be why a server does not answer: one refused request is not."""


def diagnose_instance(instance: InstanceDir) -> Result[InstanceDiagnosis]:
    """What the instance is, what its server answers, and the first cause that its logs show.

    The exit code is not 0 where `status` says that a ready instance is not well.

    Raises:
        PreconditionError: nothing is known: its plan cannot be read, or it runs and has no logs.
    """
    row = describe(instance)
    if row.state == InstanceState.READY:
        return _of_ready(instance, row)
    result = _no_request(first_cause(instance))
    data = result.payload
    if data.state is not None or row.state not in (*LIVE, InstanceState.UNKNOWN):
        return result
    report = Report(row.state, message(row))
    if row.state != InstanceState.UNKNOWN:
        return _with(instance.name, data, report, result.exit_code)
    # The keeper does not answer: `status` cannot tell either how the server is.
    remedy = (
        f"`ernie-deploy logs {instance.name} --source keeper`;"
        f" `ernie-deploy down {instance.name}` ends it"
    )
    report = Report(InstanceState.UNKNOWN, message(row), None, remedy)
    return _with(instance.name, data, report, ExitCode.NEGATIVE)


def _of_ready(instance: InstanceDir, row: InstanceStatus) -> Result[InstanceDiagnosis]:
    plan = instance.plan()
    status_health = row.health or HealthReport(None, "its server was not asked")
    health = Health(
        status_health.healthy,
        status_health.health,
        status_health.health_status,
        status_health.health_body,
        status_health.health_remedy,
    )
    completion = ask_completion(plan) if health.well else None
    ill = next((one for one in (health, completion) if one and one.well is False), None)
    if ill is not None and view(instance)[0] not in LIVE:
        return first_cause(instance)  # it ended while it was asked
    data = _logs(instance)
    answers = Answers(health.message, completion.message if completion else None)
    data = replace(data, answers=answers)
    if ill is None:
        summary = " and ".join(one.message for one in (health, completion) if one)
        report = Report(InstanceState.READY, f"{instance.name} is ready: {summary}")
        data = replace(data, diagnosis=_without_requests(data.diagnosis))
        code = ExitCode.NEGATIVE if data.diagnosis.rule_id else ExitCode.DONE
        return _with(instance.name, data, report, code)
    diagnosis = data.diagnosis
    if diagnosis.kind not in CAUSES:
        diagnosis = _set_aside(diagnosis)
        match = rule_of_answer(log_rules_of(plan), plan.failure_rules, ill.status, ill.body)
        if match is not None:
            alternatives = (one for one in diagnosis.alternatives if one.rule_id != match.rule_id)
            diagnosis = diagnosis.with_first(match, tuple(alternatives))
    state = instance.state()
    newest = newest_of_instance(
        Path(plan.log_folder),
        instance.engine_log,
        log_rules=log_rules_of(plan),
        noise=plan.noise,
        since=state.started_at if state else None,
        unwanted=(f" {plan.readiness.health_path} ", f" {plan.readiness.completion_path} "),
    )
    remedy = None if diagnosis.rule_id and not ill.remedy else _remedy(instance, row, ill)
    report = Report("unhealthy", f"{instance.name} is unhealthy: {ill.message}", None, remedy)
    data = replace(data, diagnosis=diagnosis, newest_lines=newest)
    return _with(instance.name, data, report, ExitCode.NEGATIVE)


def _remedy(instance: InstanceDir, row: InstanceStatus, ill: Health) -> str:
    restart = f"`ernie-deploy restart {instance.name}` ends it and starts it again"
    if ill.remedy:
        return f"{ill.remedy}; {restart}"
    if ill.message.startswith("port "):
        return f"end that process; then {restart}"
    if "timed out" in ill.message:
        pid = row.record.pid if row.record else None
        where = f"before that, `py-spy dump --pid {pid}` shows where it hangs"
        return f"{restart}; {where}; a server with many requests may only be busy"
    return f"{restart}; `ernie-deploy logs {instance.name}` shows what it printed"


def _logs(instance: InstanceDir) -> InstanceDiagnosis:
    """What the logs show; nothing where there are none: the server has status_health."""
    try:
        return first_cause(instance).payload
    except PreconditionError as error:
        if error.problems[0].code != "no-logs":
            raise
        nothing = Diagnosis(None, "no logs were written", "", retry=False)
        return InstanceDiagnosis(nothing, str(instance.logs))


def _without_requests(diagnosis: Diagnosis) -> Diagnosis:
    """The logs of a server that answers: a refused request is not a cause."""
    left = _set_aside(diagnosis) if diagnosis.kind == "request" else diagnosis
    if left.first_errors and not left.rule_id:
        left = replace(left, remedy="")
    return errors_as_note(left, "the server answers")


def _no_request(result: Result[InstanceDiagnosis]) -> Result[InstanceDiagnosis]:
    """The same where one refused request is all that its logs hold: nothing ended by that."""
    data = result.payload
    if data.diagnosis.kind != "request":
        return result
    diagnosis, report = _set_aside(data.diagnosis), data.state
    if report is not None:
        diagnosis = replace(diagnosis, cause=report.message, remedy=report.remedy or "")
    ended_well = report is None or report.name == InstanceState.STOPPED
    code = ExitCode.DONE if ended_well else ExitCode.NEGATIVE
    return Result("diagnose", replace(data, diagnosis=diagnosis), result.instance, code)


def _set_aside(diagnosis: Diagnosis) -> Diagnosis:
    """The same with its first rule among the others."""
    first = diagnosis.first
    alternatives = diagnosis.alternatives if first is None else (first, *diagnosis.alternatives)
    return diagnosis.with_first(None, alternatives)


def _with(
    name: str, data: InstanceDiagnosis, report: Report, code: ExitCode
) -> Result[InstanceDiagnosis]:
    diagnosis = data.diagnosis
    if not diagnosis.rule_id and not diagnosis.first_errors:
        diagnosis = replace(diagnosis, cause=report.message, remedy=report.remedy or "")
    data = replace(data, diagnosis=diagnosis, state=report)
    return Result("diagnose", data, name, code)
