"""`wait` of a service: until it is served as it should be, idle, or stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from launcher.codec import written
from launcher.errors import ExitCode, Problem
from launcher.instance.store import instance_dir, view
from launcher.lifecycle import LIVE
from launcher.observe.wait import Goal
from launcher.result import Result
from launcher.service.changes import ServiceChanges
from launcher.service.instances import readable_instances
from launcher.service.payloads import ServiceCondition, ServiceStatus
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir


@dataclass(frozen=True)
class ServiceWaited:
    """`wait` of a service: what it is now, and for how many seconds it was waited."""

    goal: Goal = field(metadata=written("for"))
    reached: bool
    condition: ServiceCondition
    ready: int
    replicas: int
    seconds: float
    url: str | None = field(default=None, metadata=written(omit=True))


def wait_for_service(
    service: ServiceDir, goal: Goal, timeout: float | None
) -> Result[ServiceWaited]:
    """Wait until the service has reached `goal`, for at most `timeout` seconds (None: no limit).

    Raises:
        PreconditionError: its state is damaged.
    """
    began = time.monotonic()
    end = None if timeout is None else began + timeout
    changes = ServiceChanges(service.folder)
    try:
        while True:
            changes.arm(one.folder for one in readable_instances(service))
            row = describe_service(service)
            code, problem = _decide(service, goal, row, may_come=timeout is not None)
            if code is None and end is not None and time.monotonic() >= end:
                code, problem = ExitCode.DEADLINE, _late(goal, row, timeout or 0.0)
            if code is not None:
                data = ServiceWaited(
                    goal, code is ExitCode.DONE, row.condition, row.ready, row.replicas,
                    round(time.monotonic() - began, 3), row.url,
                )  # fmt: skip
                errors = () if problem is None else (problem,)
                return Result("wait", data, service.name, code, errors)
            changes.wait(None if end is None else max(0.0, end - time.monotonic()))
    finally:
        changes.close()


def _decide(
    service: ServiceDir, goal: Goal, row: ServiceStatus, *, may_come: bool
) -> tuple[ExitCode | None, Problem | None]:
    """The exit code once the wait is over, None while the goal can still come."""
    if goal is Goal.STOPPED:
        door = view(instance_dir(service.door_instance))[0]
        stopped = row.condition == "stopped" and door not in LIVE
        return (ExitCode.DONE if stopped else None), None
    if row.condition == "serving":
        sessions = sum(one.sessions or 0 for one in row.members)
        return (ExitCode.DONE if goal is Goal.READY or not sessions else None), None
    if row.condition == "stopped" and not may_come:
        return ExitCode.NEGATIVE, Problem(
            "not-ready", row.message, None,
            "`ernie-deploy deploy PROFILE` starts it; with `--timeout`, `wait` waits for that",
        )  # fmt: skip
    if row.condition == "interrupted" and not may_come:
        return ExitCode.NEGATIVE, Problem("service-not-serving", row.message, None, row.remedy)
    return None, None


def _late(goal: Goal, row: ServiceStatus, timeout: float) -> Problem:
    return Problem(
        "wait-timeout", f"{row.name} is not {goal.value} after {timeout:g} s: {row.message}",
        "--timeout", f"`ernie-deploy status {row.name}`, `ernie-deploy events {row.name}`",
    )  # fmt: skip
