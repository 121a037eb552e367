"""Text for the verbs about services: the lines of a rollout, deploy, history, status."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from launcher.json_values import JsonObject, text_at
from launcher.plain import plain

if TYPE_CHECKING:
    from launcher.result import Result
    from launcher.service.model import Action
    from launcher.service.payloads import (
        Deployed,
        Held,
        History,
        RolloutStatus,
        ServiceDown,
        ServiceStatus,
    )


class RolloutLines:
    """Writes the events of a rollout as they happen, one line each, with the time since the start.

    Of the replicas' own starts only what is new to a reader is shown: failures and restarts.
    """

    def __init__(self, stream: TextIO) -> None:
        """Count the time from now on."""
        self._stream = stream
        self._begun = time.monotonic()

    def __call__(self, event: JsonObject) -> None:
        """Show one event."""
        if event.get("event") != "rollout":
            return
        seconds = time.monotonic() - self._begun
        line = f"{seconds:7.1f} s  {text_at(event, 'action'):<9} {text_at(event, 'message')}"
        self._stream.write(plain(line) + "\n")
        self._stream.flush()


def deploy(result: Result[Deployed]) -> str:
    """What serves now, or what would be done."""
    data = result.payload
    if data.dry_run:
        return "\n".join(_planned(data))
    if data.note:
        lines = [f"{data.service}: {data.note}"]
    elif data.outcome == "serving":
        lines = [f"{data.service} serves revision {data.revision}"]
    elif data.revision is not None:
        lines = [f"{data.service} serves revision {data.revision}, as before"]
    else:
        lines = [f"{data.service} does not serve"]
    facts = (
        ("url", data.url if data.members else None),
        ("replicas", ", ".join(data.members) or None),
        ("previous", data.previous if data.outcome == "serving" else None),
        ("strategy", data.strategy),
        ("smoke", data.smoke or None),
        ("took", f"{data.seconds:.1f} s" if data.seconds else None),
    )
    lines += [f"  {name:<9} {value}" for name, value in facts if value is not None]
    return "\n".join(lines)


def _planned(data: Deployed) -> Iterator[str]:
    yield f"{data.service}: {data.strategy}, because {data.reason}"
    for index, name in enumerate(data.members):
        devices = data.devices[index] if index < len(data.devices) else None
        yield f"  new       {name}" + (f"  GPUs {','.join(devices)}" if devices else "")
        for part in data.parts.get(name, ()):
            gpus = f"  GPUs {','.join(part.gpus)}" if part.gpus else ""
            yield f"            {part.role:<8} {part.instance}{gpus}"
    if data.parts:
        yield "  ports     chosen at the start: of each router and each instance its own"
    for number, action in enumerate(data.planned, 1):
        yield f"  {number:>2}. {_action(action)}"
    if data.downtime is None:
        yield "  downtime  unknown: no start of a replica was measured yet"
    elif data.downtime:
        yield f"  downtime  about {data.downtime:.0f} s, as earlier starts took"
    else:
        yield "  downtime  none"


def _action(action: Action) -> str:
    names = ", ".join(action.members)
    if action.kind == "start":
        return f"start {names}"
    if action.kind == "prove":
        return f"run the smoke checks against {names}"
    if action.kind == "door":
        return "open the front door"
    if action.kind == "shift":
        return f"send {action.share:.0%} of the traffic to {names}"
    if action.kind == "watch":
        return f"watch errors, latency and verdicts for {action.seconds:g} s"
    if action.kind == "retire":
        return f"drain and stop {names}"
    return "record the revision"


def history(result: Result[History]) -> str:
    """One line for each change, the newest first; errors below."""
    data = result.payload
    if not data.entries:
        return f"{data.service} has no history"
    lines = [
        f"{'WHEN (UTC)':<17} {'REVISION':<9} {'KIND':<9} {'OUTCOME':<12} {'TOOK':>8}"
        f"  {'WHO':<12} ENGINE"
    ]
    for entry in data.entries:
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(entry.at))
        mark = "*" if entry.target == data.revision and entry.outcome == "serving" else " "
        lines.append(
            f"{when:<17} {entry.target:<8}{mark} {entry.kind:<9} {entry.outcome:<12}"
            f" {entry.seconds:>6.0f} s  {entry.user:<12} {entry.engine} {entry.release}"
        )
        if entry.message:
            lines.append(f"    {entry.message}")
        if entry.smoke:
            lines.append(f"    smoke: {entry.smoke}")
        if entry.error:
            lines.append(f"    {entry.error}")
    return "\n".join(lines)


def lock(result: Result[Held]) -> str:
    """Who forbids changes."""
    data = result.payload
    if data.held is None:
        return f"{data.service} can be changed"
    return f"changes of {data.service} are forbidden by {data.held}"


def service_down(data: ServiceDown) -> str:
    """What was stopped."""
    if not data.stopped and not data.left:
        return f"{data.service} was not running"
    lines = [f"{data.service} is {'down' if not data.left else 'not down'}"]
    lines += [f"  stopped  {name}" for name in data.stopped]
    lines += [f"  left     {text}" for text in data.left]
    return "\n".join(lines)


def service_lines(row: ServiceStatus) -> Iterator[str]:
    """The particulars of one service."""
    yield row.message
    facts = (
        ("url", row.url),
        ("revision", row.revision),
        ("engine", f"{row.engine} {row.release}" if row.engine else None),
        ("door", row.door_state if row.members else None),
        ("gateway", row.gateway_state),
        ("locked", row.held),
    )
    for name, value in facts:
        if value is not None:
            yield f"  {name:<9} {value}"
    if row.rollout is not None:
        yield f"  rollout   {_rollout(row.rollout)}"
    if row.members:
        yield f"  {'REPLICA':<34} {'STATE':<9} {'SHARE':>6} {'DOOR':<6} {'SESSIONS':>8}  URL"
    for one in row.members:
        sessions = "" if one.sessions is None else str(one.sessions)
        yield (
            f"  {one.name:<34} {one.state:<9} {one.share:>6.0%} {one.door or '-':<6}"
            f" {sessions:>8}  {one.url or ''}"
        )
        for part in one.group:
            gpus = f"GPUs {','.join(part.gpus)}  " if part.gpus else ""
            numbers = ", ".join(f"{name} {number}" for name, number in part.ports.items())
            yield f"    {part.role:<8} {part.name:<36} {part.state:<9} {gpus}{numbers}"
        if one.message:
            yield f"      {one.message}"


def _rollout(rollout: RolloutStatus) -> str:
    who = rollout.owner or "its command has ended"
    text = f"{rollout.kind} {rollout.source or '-'} -> {rollout.target}, {rollout.strategy}, "
    text += f"step {rollout.done + 1} of {rollout.total}: {rollout.action} ({who})"
    return text + (f"; {rollout.error}" if rollout.error else "")
