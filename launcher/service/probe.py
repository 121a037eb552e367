"""`probe` of a service: the same three questions, answered for its address as a whole."""

from __future__ import annotations

from launcher.errors import ExitCode, Problem
from launcher.instance.probe import ProbeAnswer, probe
from launcher.instance.store import instance_dir
from launcher.lifecycle import InstanceState
from launcher.result import Result
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir


def probe_service(service: ServiceDir, kind: str, timeout: float) -> Result[ProbeAnswer]:
    """Ask whether the service is `kind`: live, ready or (over its) startup.

    Live is the front door alone: a new start of everything helps no single replica. Ready needs
    the front door and one replica that gets requests. Over its startup is what served once.

    Raises:
        PreconditionError: the front door's keeper does not run.
        DeadlineError: it did not answer within `timeout` seconds.
    """
    door = probe(instance_dir(service.door_instance), kind, timeout).payload
    passed, reason = door.passed, f"front door: {door.reason}"
    if kind == "startup":
        passed = passed and service.read().revision is not None
        reason = reason if passed else "no revision has served yet"
    if kind == "ready" and passed:
        row = describe_service(service)
        able = [
            one.name
            for one in row.members
            if one.state == InstanceState.READY and one.weight > 0 and one.door == "up"
        ]
        passed = bool(able)
        reason = f"{len(able)} of {row.replicas} replicas get requests"
    answer = ProbeAnswer(kind, passed, reason)
    if passed:
        return Result("probe", answer, service.name)
    problem = Problem("probe-negative", f"{service.name}: {reason}")
    return Result("probe", answer, service.name, ExitCode.NEGATIVE, (problem,))
