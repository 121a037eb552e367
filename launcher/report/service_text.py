"""Text of `restart`, `wait` and `top`, whose TARGET may be an instance or a service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.report import instance_text

if TYPE_CHECKING:
    from launcher.instance.payloads import Down, Restart
    from launcher.observe.overview import Overview
    from launcher.observe.wait import Waited
    from launcher.report.terminal import Terminal
    from launcher.result import Result
    from launcher.service.overview import ReplicaLoad, ServiceLoad
    from launcher.service.payloads import Deployed
    from launcher.service.wait import ServiceWaited


def restart(result: Result[Restart | Down | Deployed]) -> str:
    """The end and the start of an instance, or the rollout of a service."""
    from launcher.report import rollout_text
    from launcher.service.payloads import Deployed

    if isinstance(result.payload, Deployed):
        return rollout_text.deploy(result)  # type: ignore[arg-type]
    return instance_text.restart(result)  # type: ignore[arg-type]


def waited(result: Result[Waited | ServiceWaited]) -> str:
    """What it is, and for how long it was waited; nothing where it never came."""
    from launcher.service.wait import ServiceWaited

    data = result.payload
    if not isinstance(data, ServiceWaited):
        return instance_text.waited(result)  # type: ignore[arg-type]
    if not data.reached:
        return ""
    text = f"{result.instance} is {data.condition}"
    if data.condition == "serving":
        text += f" by {data.ready} of {data.replicas} replicas"
    url = f": {data.url}" if data.url and data.condition == "serving" else ""
    return f"{text}{url} (waited {data.seconds:.1f} s)"


def overview(result: Result[Overview]) -> str:
    """Services and their front doors above the instances; for a pipe."""
    from launcher.report import top_text

    lines = _loads(result)
    return "\n".join([*lines, *([""] if lines else []), top_text.overview(result)])


def screen(result: Result[Overview], terminal: Terminal) -> str | None:
    """As `overview`, for a terminal: what fits."""
    from launcher.report import top_text

    text = top_text.screen(result, terminal)
    lines = [terminal.clip(line) for line in _loads(result)]
    if not lines:
        return text
    return "\n".join([*lines, "", text or "no instances"])


def _loads(result: Result[Overview]) -> list[str]:
    from launcher.service.overview import OverviewWithServices

    data = result.payload
    return load_lines(data.services) if isinstance(data, OverviewWithServices) else []


def load_lines(services: Sequence[ServiceLoad]) -> list[str]:
    """A table of services, each with its replicas below it; no lines without services."""
    if not services:
        return []
    lines = [
        f"{'SERVICE':<30} {'STATE':<11} {'REPLICAS':>8} {'REQ/S':>7} {'ERRORS':>6} {'LATENCY':>8}"
        f" {'RUN':>4} {'WAIT':>4}"
    ]
    for row in services:
        lines.append(
            f"{row.name:<30} {row.condition:<11} {f'{row.ready}/{row.replicas}':>8}"
            f" {_rate(row.requests_per_second):>7} {_share(row.error_share):>6}"
            f" {_seconds(row.latency_seconds):>8} {row.running:>4} {row.waiting:>4}"
        )
        lines += [_replica(one) for one in row.members]
        if row.first_byte_seconds is not None:
            lines.append(
                f"  first byte {_seconds(row.first_byte_seconds)}; since the front door started:"
                f" {row.retries} sent again, {row.cut} cut, {row.left} left by the client"
            )
        if row.note:
            lines.append(f"  {row.note}")
    return lines


def _replica(one: ReplicaLoad) -> str:
    errors = _share(one.failed / one.answers if one.answers else None)
    return (
        f"  {one.name:<28} {one.state:<11} {f'{one.share:.0%}':>8}"
        f" {_rate(one.requests_per_second):>7} {errors:>6} {_seconds(one.latency_seconds):>8}"
        f" {one.running:>4} {one.waiting:>4}"
    )


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}s"
