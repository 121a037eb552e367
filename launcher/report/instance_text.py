"""Text for the verbs about instances: up, down, restart, status, version."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from launcher.instance.instance_status import InstanceStatus, Planned, Record, Status
from launcher.json_values import text_at
from launcher.keeper.receipt import Receipt
from launcher.lifecycle import COMING, LIVE, UNSUCCESSFUL, InstanceState
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.boot import Boot
    from launcher.instance.payloads import Down, Restart, Up
    from launcher.instance.probe import ProbeAnswer
    from launcher.observe.wait import Waited
    from launcher.report.payloads import Completion, Version


def up(result: Result[Up]) -> str:
    """Where it serves, since when, and what proved it."""
    return _up(result.instance, result.payload)


def restart(result: Result[Restart | Down]) -> str:
    """The end of the old run and the start of the new one; the receipt where it is not down."""
    from launcher.instance.payloads import Down

    data = result.payload
    if isinstance(data, Down):
        return f"{result.instance}: {_receipt(data.receipt)}" if data.receipt else ""
    lines = [_up(result.instance, data.started)]
    if data.started.serving is not None:
        if data.forced:
            lines.append(f"  forced   started past the check {', '.join(data.forced)} (`--force`)")
        if data.note:
            lines.append(f"  note     {data.note}")
        if data.stopped.receipt:
            lines.insert(0, f"{result.instance}: {_receipt(data.stopped.receipt)}")
    return "\n".join(lines)


def _up(name: str | None, data: Up) -> str:
    serving = data.serving
    if serving is None:
        receipt = data.ended.receipt if data.ended else None
        return f"{name}: {_receipt(receipt)}" if receipt else ""
    lines = [f"{name} is {'already ' if serving.already else ''}ready"]
    lines.append(f"  url      {serving.base_url}")
    lines.append(f"  ports    {_ports(serving.ports or {})}")
    lines.append(f"  process  {serving.pid}")
    lines.append(f"  took     {serving.seconds} s")
    # Of a start of ours each rung was told as it was climbed.
    evidence = (serving.evidence or {}) if serving.already else {}
    for rung in ("listening", "health", "models", "settings", "completion"):
        if rung in evidence:
            lines.append(f"  {rung:<12} {text_at(evidence, rung, 'message')}")
    return "\n".join(lines)


def down(data: Down, name: str | None) -> str:
    """The receipt of the instance called `name`."""
    receipt = data.receipt
    if data.previous_state in (InstanceState.STOPPED, InstanceState.ABSENT):
        line = f"{name} was not running"
        return line + (f" ({data.note})" if data.note else "")
    if data.previous_state in UNSUCCESSFUL and data.state == InstanceState.STOPPED:
        ended = f"{name} was not running (it {data.previous_state})"
        return f"{ended}; it counts as stopped now"
    lines = [f"{name} is down: {_receipt(receipt)}"]
    if receipt is not None:
        lines += [f"  left     {item}" for item in receipt.left]
        lines += [f"  foreign  {item} (not touched)" for item in receipt.foreign]
    return "\n".join(lines)


def status(result: Result[Status]) -> str:
    """One line an instance; with a single one, its particulars."""
    rows = result.payload.instances
    if not rows:
        return "no instances"
    if result.instance is None:
        return "\n".join(instance_table(rows))
    return "\n".join(_particulars(rows[0]))


def instance_table(rows: Sequence[InstanceStatus]) -> list[str]:
    """One line for each instance, below the names of the columns."""
    lines = [f"{'NAME':<28} {'STATE':<9} {'ENGINE':<22} {'FOR':<9} URL"]
    for row in rows:
        lines.append(
            f"{row.name:<28} {state_of(row):<9} {engine_of(row):<22} {since(row):<9} {url_of(row)}"
        )
    return lines + [f"{r.name}: {r.note}" for r in rows if r.state == InstanceState.ABSENT]


def _particulars(row: InstanceStatus) -> Iterator[str]:
    record, planned, health = row.record or Record(), row.planned or Planned(), row.health
    first = f"{row.name} {_verb(row)} {state_of(row)}"
    if state_of(row) in ("unhealthy", InstanceState.UNKNOWN) or record.restart is not None:
        first = row.message
    yield first
    facts = (
        ("base url", planned.base_url), ("model", planned.model), ("engine", planned.engine),
        ("release", planned.release), ("pid", record.pid), ("keeper pid", record.keeper_pid),
        ("processes", record.processes),
    )  # fmt: skip
    for name, value in facts:
        if value is not None:
            yield _fact(name, value)
    if record.ports:
        yield _fact("ports", _ports(record.ports))
    if record.admin_url and row.state in LIVE:
        yield _fact("keeper at", record.admin_url)
    if row.enabled:
        yield _fact("at boot", f"enabled ({row.enabled} unit)")
    if record.phase and row.state in COMING:
        percent = f" {record.percent:.0f} %" if record.percent is not None else ""
        yield _fact("phase", f"{record.phase}{percent}")
    source = "liveness" if record.liveness else "health"
    for name, text in ((source, health.health if health else None), ("note", row.note)):
        if text and text not in first:
            yield _fact(name, text)
    if record.forced:
        yield _fact("forced", f"it was started past the check {', '.join(record.forced)}")
    if since(row):
        yield _fact("for", since(row))
    if record.restarts:
        yield _fact("restarts", record.restarts)
    if record.previous_state:
        yield _fact("was", record.previous_state)
    error = record.error
    if error and (row.state in UNSUCCESSFUL or record.previous_state):
        yield _fact("error", f"{error.code}: {error.message}")
        if error.remedy:
            yield _fact("remedy", error.remedy)


def _fact(name: str, value: object) -> str:
    return f"  {name:<12} {value}"


def waited(result: Result[Waited]) -> str:
    """What it is, and for how long it was waited; nothing where it never came."""
    data = result.payload
    if not data.reached:
        return ""
    verdict = f" and {data.verdict.value}" if data.verdict else ""
    url = f": {data.base_url}" if data.base_url else ""
    verb = "has" if data.state in UNSUCCESSFUL else "is"
    return f"{result.instance} {verb} {data.state}{verdict}{url} (waited {data.seconds:.1f} s)"


def boot(result: Result[Boot]) -> str:
    """Whether an instance starts at boot, by which unit, and what is left to do."""
    data, name = result.payload, result.instance
    if data.enabled:
        lines = [f"{name} starts at boot: {data.path} ({data.scope} unit)"]
        lines += [f"  after {', '.join(data.after)}"] if data.after else []
        lines.append(f"  configuration: {data.profile}")
    elif data.unit:
        lines = [f"{name} does not start at boot any more: {data.path} is removed"]
    else:
        lines = [f"{name} does not start at boot"]
    return "\n".join([*lines, *(f"  {note}" for note in data.notes)])


def version(result: Result[Version]) -> str:
    """Ours, Python's, and the engines'."""
    data = result.payload
    lines = [f"ernie-deploy {data.ernie_deploy} (Python {data.python}, home {data.home})"]
    lines += [f"{e.engine} {e.version} ({e.path})" for e in data.engines]
    return "\n".join(lines)


def script(result: Result[Completion]) -> str:
    """The completion script as it is."""
    return result.payload.script


def nothing(result: Result[object]) -> str:
    """The verb has shown all there is already."""
    return ""


def _verb(row: InstanceStatus) -> str:
    return "has" if row.state in UNSUCCESSFUL else "is"


def state_of(row: InstanceStatus) -> str:
    """The state as it is shown; LOST stands out."""
    if row.state == InstanceState.READY and not row.is_healthy:
        return "unhealthy"
    return row.state.upper() if row.state == InstanceState.LOST else str(row.state)


def engine_of(row: InstanceStatus) -> str:
    """The engine and its release."""
    planned = row.planned or Planned()
    return f"{planned.engine or ''} {planned.release or ''}".strip()


def url_of(row: InstanceStatus) -> str:
    """Where it serves, or served; else empty."""
    return (row.planned.base_url if row.planned else None) or ""


def since(row: InstanceStatus) -> str:
    """How long the instance has been ready, or has been loading; else empty."""
    record = row.record or Record()
    if row.state == InstanceState.READY and record.ready_at:
        seconds = int(time.time() - record.ready_at)
    elif row.state in COMING and record.started_at:
        seconds = int(time.time() - record.started_at)
    else:
        return ""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def probe(result: Result[ProbeAnswer]) -> str:
    """The reason of a yes; that of a no is the error."""
    return result.payload.reason if result.payload.passed else ""


def _ports(ports: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in ports.items())


def _receipt(receipt: Receipt | None) -> str:
    if receipt is None:
        return "no receipt"
    return (
        f"left {receipt.processes} processes, {receipt.ports} ports, {receipt.shm} shm,"
        f" {receipt.queues} queues, {receipt.temporary} temporary; {receipt.seconds} s"
    )
