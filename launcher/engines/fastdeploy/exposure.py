"""What FastDeploy opens to other machines whatever `host` is: its queues and its metrics."""

from __future__ import annotations

from launcher.engines.doctor_checks import Check, Outcome, Subject, ok, warn
from launcher.engines.exposure import describe, firewall, is_public
from launcher.plan.model import PortUse

_QUEUES = ("engine-worker-queue", "cache-queue")


def queues(subject: Subject) -> Outcome | None:
    """Anyone who reaches Q or C and knows a constant of the source is given code execution."""
    plan = subject.plan
    if plan is None:
        return None
    queues = [p for p in plan.ports if p.name.startswith(_QUEUES)]
    open_queues = [p for p in queues if p.bound and is_public(p.address)]
    closed = [_closed(p) for p in queues if not p.bound]
    if not open_queues:
        return ok("; ".join(closed) or "no queue listens on other addresses")
    summary_ports = ", ".join(describe(subject, p) for p in open_queues)
    note = "".join(f"; {one}" for one in closed)
    return warn(
        f"{summary_ports} accept anyone who knows a constant of the source, and unpickle what"
        f" they send{note}",
        firewall(subject, open_queues),
    )


def metrics(subject: Subject) -> Outcome | None:
    """M shows /metrics and the effective configuration to anyone, without a key."""
    plan = subject.plan
    if plan is None:
        return None
    use = next((p for p in plan.ports if p.name == "metrics"), None)
    if use is None or not use.bound or not is_public(use.address):
        return ok("the metrics are not on a port of their own")
    env = {e.name: e.value for e in plan.env}
    key = "FD_API_KEY" in env or "FD_API_KEY" in plan.secrets
    summary = f"{describe(subject, use)} answers anyone: /metrics, /config-info"
    remedy = firewall(subject, [use])
    if key:
        return warn(f"{summary}, which shows FD_API_KEY in clear", remedy)
    return warn(summary, remedy)


def _closed(use: PortUse) -> str:
    """A queue that listens on no port."""
    if use.socket is None:
        return f"{use.name} does not listen with these settings"
    return f"{use.name} is the unix socket {use.socket}"


CHECKS = (
    Check(
        "exposed-queues",
        "FastDeploy's queues cannot be reached from other machines",
        "they listen on all addresses whatever `host` is, and unpickling is code execution",
        queues,
        "exposure",
    ),
    Check(
        "exposed-metrics",
        "the metrics port shows nothing to other machines",
        "/config-info needs no key and shows the environment, FD_API_KEY included",
        metrics,
        "exposure",
    ),
)
