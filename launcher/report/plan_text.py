"""Text for `plan`: what would be run and why, and a line that can be pasted into a shell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.result import Result


def plan(result: Result) -> str:
    """The launch plan for a reader."""
    data = result.data
    if "prediction" in data:
        from launcher.report.memory_text import memory

        return memory(result)
    launch: Mapping[str, Any] = data["plan"]
    lines = [
        f"{launch['instance']}: {launch['engine']} {launch['release']}, "
        f"serving {launch['base_url']}"
    ]
    lines += _running(data.get("running"))
    lines += ["", "command"]
    head = " ".join([launch["argv"][0], *launch["module"]])
    lines.append(f"  {head}")
    for flag in launch["flags"]:
        text = " ".join([flag["flag"], *flag["values"]])
        lines.append(f"    {text:<48} # {_why(flag)}")
    lines += ["", "environment (all else but the names under `passed on` is scrubbed)"]
    for variable in launch["env"]:
        lines.append(f"  {variable['name'] + '=' + variable['value']:<50} # {_why(variable)}")
    for name, reference in launch["secrets"].items():
        lines.append(f"  {name + '=<' + reference + '>':<50} # a secret, resolved at start")
    lines.append(f"  passed on: {', '.join(launch['pass_env'])}")
    lines += ["", "ports", *(_port(port) for port in launch["ports"] if port["bound"])]
    lines += _elsewhere(launch)
    lines += ["", "files and folders"]
    lines += [f"  {f['path']}  ({f['purpose']})" for f in data["files"]]
    lines += [f"  {folder}/" for folder in data["folders"]]
    lines += ["", "ready when"]
    readiness = launch["readiness"]
    lines.append(f"  the API port belongs to our process, {readiness['health_path']} is 200,")
    if readiness.get("paused_path"):
        lines.append(f"  {readiness['paused_path']} does not say that the engine is paused,")
    if readiness["models_path"]:
        name = readiness["model"] or "a model"
        lines.append(f"  {readiness['models_path']} names {name},")
    for setting in readiness["settings"]:
        lines.append(f"  {setting['key']} is {setting['expected']},")
    if readiness["settings_unknown"]:
        lines.append(f"  (settings: {readiness['settings_unknown']})")
    lines.append(f"  and {readiness['completion_path']} brought some text")
    stop = launch["stop"]
    lines += ["", "stopped by"]
    for when in ("loading", "ready"):
        stages = ", then ".join(f"{s['signal']} ({s['wait']:g} s)" for s in stop[when])
        lines.append(f"  when {when}: {stages}, then SIGKILL to whatever is left")
    if data["notes"]:
        lines += ["", "notes", *(f"  {note}" for note in data["notes"])]
    lines += ["", "as one line", f"  {data['shell']}"]
    return "\n".join(lines)


def _port(port: Mapping[str, Any]) -> str:
    return f"  {port['number']:<6} on {port['address']:<16} {port['shown_as'] or port['name']}"


def _elsewhere(plan_data: Mapping[str, Any]) -> list[str]:
    """Unix sockets, and numbers that are given to the engine although nothing listens there."""
    lines = []
    for port in plan_data["ports"]:
        name = port["shown_as"] or port["name"]
        if port["socket"]:
            lines.append(
                f"  {port['socket']}  {name}; {port['number']} is not a port, only its name"
            )
    for one in plan_data["sockets"]:
        path = one["path"].replace("{pid}", "PID")
        lines.append(f"  {path}  {one['shown_as']}")
    if lines:
        lines = ["", "unix sockets", *lines]
    unused = [p for p in plan_data["ports"] if not p["bound"] and not p["socket"]]
    if unused:
        lines += ["", "leased, and not listened on with these settings"]
        lines += [f"  {p['number']:<6} {p['shown_as'] or p['name']}" for p in unused]
    return lines


def _running(running: Mapping[str, Any] | None) -> list[str]:
    if running is None:
        return []
    if not running["differences"]:
        return [f"it is {running['state']} with this very configuration: `up` would change nothing"]
    lines = (f"  {difference}" for difference in running["differences"])
    return [f"it is {running['state']} with another configuration, `restart` replaces it:", *lines]


def _why(item: Mapping[str, Any]) -> str:
    origin = f" ({item['origin']})" if item.get("origin") else ""
    return f"{item.get('reason') or 'the profile asks for it'}{origin}"
