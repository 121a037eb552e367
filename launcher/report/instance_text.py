"""Text for the verbs about instances: up, down, restart, status, version."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from launcher.lifecycle import COMING, UNSUCCESSFUL, InstanceState
from launcher.result import Result


def up(result: Result) -> str:
    """Where it serves, since when, and what proved it."""
    data = result.data
    if data.get("state") != InstanceState.READY:
        receipt = data.get("receipt")
        return f"{result.instance}: {_receipt(receipt)}" if receipt else ""
    lines = [f"{result.instance} is {'already ' if data.get('already') else ''}ready"]
    lines.append(f"  url      {data.get('base_url')}")
    lines.append(f"  ports    {_ports(data.get('ports') or {})}")
    lines.append(f"  process  {data.get('pid')}")
    lines.append(f"  took     {data.get('seconds')} s")
    # Of a start of ours each rung was told as it was climbed.
    evidence = (data.get("evidence") or {}) if data.get("already") else {}
    for name in ("listening", "health", "models", "settings", "completion"):
        if name in evidence:
            lines.append(f"  {name:<12} {evidence[name]['message']}")
    if data.get("forced"):
        lines.append(f"  forced   started past the check {', '.join(data['forced'])} (`--force`)")
    if data.get("note"):
        lines.append(f"  note     {data['note']}")
    if "stopped" in data and (data["stopped"] or {}).get("receipt"):
        lines.insert(0, f"{result.instance}: {_receipt(data['stopped']['receipt'])}")
    return "\n".join(lines)


def down(result: Result) -> str:
    """The receipt."""
    data = result.data
    receipt = data.get("receipt")
    if data.get("was") in (InstanceState.STOPPED, InstanceState.ABSENT):
        line = f"{result.instance} was not running"
        return line + (f" ({data['note']})" if data.get("note") else "")
    if data.get("was") in UNSUCCESSFUL and data["state"] == InstanceState.STOPPED:
        return f"{result.instance} was not running (it {data['was']}); it counts as stopped now"
    lines = [f"{result.instance} is down: {_receipt(receipt)}"]
    lines += [f"  left     {item}" for item in (receipt or {}).get("left", ())]
    lines += [f"  foreign  {item} (not touched)" for item in (receipt or {}).get("foreign", ())]
    return "\n".join(lines)


def status(result: Result) -> str:
    """One line an instance; with a single one, its particulars."""
    rows = result.data.get("instances", [])
    if not rows:
        return "no instances"
    if result.instance is None:
        lines = [f"{'NAME':<28} {'STATE':<9} {'ENGINE':<22} {'FOR':<9} URL"]
        for row in rows:
            engine = f"{row.get('engine', '')} {row.get('release') or ''}".strip()
            lines.append(
                f"{row['name']:<28} {state_of(row):<9} {engine:<22} {since(row):<9}"
                f" {row.get('base_url') or ''}"
            )
        lines += [f"{r['name']}: {r['note']}" for r in rows if r["state"] == InstanceState.ABSENT]
        return "\n".join(lines)
    row = rows[0]
    first = f"{row['name']} {_verb(row)} {state_of(row)}"
    lines = [row["message"] if state_of(row) in ("unhealthy", InstanceState.UNKNOWN) else first]
    for key in ("base_url", "model", "engine", "release", "pid", "keeper_pid", "processes"):
        if row.get(key) is not None:
            lines.append(f"  {key.replace('_', ' '):<12} {row[key]}")
    if row.get("ports"):
        lines.append(f"  {'ports':<12} {_ports(row['ports'])}")
    if row.get("phase") and row["state"] in COMING:
        percent = f" {row['percent']:.0f} %" if row.get("percent") is not None else ""
        lines.append(f"  {'phase':<12} {row['phase']}{percent}")
    for key in ("health", "note"):
        if row.get(key) and str(row[key]) not in lines[0]:
            lines.append(f"  {key:<12} {row[key]}")
    if row.get("forced"):
        lines.append(f"  {'forced':<12} it was started past the check {', '.join(row['forced'])}")
    if since(row):
        lines.append(f"  {'for':<12} {since(row)}")
    error = row.get("error")
    if row.get("was"):
        lines.append(f"  {'was':<12} {row['was']}")
    if error and (row["state"] in UNSUCCESSFUL or row.get("was")):
        lines.append(f"  {'error':<12} {error['code']}: {error['message']}")
        if error.get("remedy"):
            lines.append(f"  {'remedy':<12} {error['remedy']}")
    return "\n".join(lines)


def version(result: Result) -> str:
    """Ours, Python's, and the engines'."""
    data = result.data
    lines = [f"ernie-deploy {data['ernie-deploy']} (Python {data['python']}, home {data['home']})"]
    lines += [f"{e['engine']} {e['version']} ({e['path']})" for e in data["engines"]]
    return "\n".join(lines)


def script(result: Result) -> str:
    """The completion script as it is."""
    return str(result.data["script"])


def nothing(result: Result) -> str:
    """The verb has shown all there is already."""
    return ""


def _verb(row: Mapping[str, Any]) -> str:
    return "has" if row["state"] in UNSUCCESSFUL else "is"


def state_of(row: Mapping[str, Any]) -> str:
    """The state as it is shown; LOST stands out."""
    if row["state"] == InstanceState.READY and not row.get("healthy", True):
        return "unhealthy"
    return str(row["state"]).upper() if row["state"] == InstanceState.LOST else str(row["state"])


def since(row: Mapping[str, Any]) -> str:
    """How long the instance has been ready, or has been loading; else empty."""
    if row["state"] == InstanceState.READY and row.get("ready_at"):
        seconds = int(time.time() - row["ready_at"])
    elif row["state"] in COMING and row.get("started_at"):
        seconds = int(time.time() - row["started_at"])
    else:
        return ""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _ports(ports: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in ports.items())


def _receipt(receipt: Mapping[str, Any] | None) -> str:
    if not receipt:
        return "no receipt"
    kinds = ("processes", "ports", "shm", "queues", "temporary")
    counts = ", ".join(f"{receipt.get(kind, '?')} {kind}" for kind in kinds)
    return f"left {counts}; {receipt.get('seconds')} s"
