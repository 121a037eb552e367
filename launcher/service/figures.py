"""Takes a reading of every replica: what the front door counted, what engines and keepers say."""

from __future__ import annotations

import contextlib

from launcher.door.runtime import Counters
from launcher.errors import DeployError
from launcher.instance.status import Source, describe
from launcher.instance.store import instance_dir
from launcher.keeper.state import LivenessRecord
from launcher.lifecycle import InstanceState
from launcher.liveness.judge import Liveness
from launcher.observe.figures import ask_figures
from launcher.service.model import Member, ServiceState
from launcher.service.traffic import Traffic
from launcher.service.watch import Figures, Reading

TIMEOUT = 1.0
"""Seconds an engine gets to show its metrics; one that does not tells nothing of its speed."""


def read_figures(state: ServiceState, traffic: Traffic) -> Reading:
    """The figures of every replica that the service has now."""
    counted = traffic.counters(state)
    readings = {}
    for member in state.members:
        counters = counted.get(member.name)
        ttft_sum, ttft_count = _first_tokens(member)
        readings[member.name] = Figures(
            answers=answers_of(counters) if counters else 0,
            failed=failures_of(counters) if counters else 0,
            latency=counters.total_average / 1000 if counters and answers_of(counters) else None,
            ttft_sum=ttft_sum,
            ttft_count=ttft_count,
            verdict=_verdict(member),
        )
    return readings


def answers_of(counters: Counters) -> int:
    """Answers that the replica has given, without those that only announce one (1xx)."""
    return sum(count for kind, count in counters.classes.items() if kind != "1xx")


def failures_of(counters: Counters) -> int:
    """Answers of the replica that failed: a status of 5xx, no connection, or a broken answer."""
    errors = counters.connect_errors + counters.response_errors
    return counters.classes.get("5xx", 0) + errors


def _first_tokens(member: Member) -> tuple[float | None, float | None]:
    with contextlib.suppress(OSError, ValueError, DeployError):
        figures = ask_figures(instance_dir(member.name).plan_data(), TIMEOUT)
        if figures is not None:
            return figures.ttft_sum, figures.ttft_count
    return None, None


def _verdict(member: Member) -> str:
    """Why a replica does not work, by its keeper; "" where it does."""
    for name in member.instances:
        row = describe(instance_dir(name), source=Source.VERDICT)
        if row.state != InstanceState.READY:
            return row.message or f"{name} is {row.state}"
        liveness = row.record.liveness if row.record else None
        if liveness is not None and _is_ill(liveness):
            return f"its keeper calls {name} {liveness.verdict.value}"
    return ""


def _is_ill(liveness: LivenessRecord) -> bool:
    return liveness.verdict in (Liveness.STALLED, Liveness.DEAD, Liveness.PAUSED)
