"""Text for `plan`: what would be run and why, and a line that can be pasted into a shell."""

from __future__ import annotations

from launcher.instance.show import PlanOutput, Running
from launcher.plan.memory import MemoryPlan
from launcher.plan.model import EnvVar, Flag, LaunchPlan, PortUse
from launcher.result import Result


def plan(result: Result[PlanOutput | MemoryPlan]) -> str:
    """The launch plan for a reader."""
    data = result.payload
    if isinstance(data, MemoryPlan):
        from launcher.report.memory_text import memory

        return memory(data)
    if not data.group:
        return _one(data)
    parts = (data, *data.group)
    head = ["a group of instances, started together:"]
    for one in parts:
        gpus = f"  GPUs {','.join(one.plan.gpus)}" if one.plan.gpus else ""
        head.append(f"  {one.role or '':<8} {one.plan.instance}{gpus}")
    return "\n\n\n".join(["\n".join(head), *(_one(one) for one in parts)])


def _one(data: PlanOutput) -> str:
    launch = data.plan
    lines = [f"{launch.instance}: {launch.engine} {launch.release}, serving {launch.base_url}"]
    lines += _running(data.running)
    lines += ["", "command"]
    head = " ".join([launch.argv[0], *launch.module])
    lines.append(f"  {head}")
    for flag in launch.flags:
        text = " ".join([flag.flag, *flag.values])
        lines.append(f"    {text:<48} # {_why(flag)}")
    lines += ["", "environment (all else but the names under `passed on` is scrubbed)"]
    for variable in launch.env:
        lines.append(f"  {variable.name + '=' + variable.value:<50} # {_why(variable)}")
    for name, reference in launch.secrets.items():
        lines.append(f"  {name + '=<' + reference + '>':<50} # a secret, resolved at start")
    lines.append(f"  passed on: {', '.join(launch.pass_env)}")
    lines += ["", "ports", *(_port(port) for port in launch.ports if port.bound)]
    lines += _elsewhere(launch)
    lines += ["", "files and folders"]
    lines += [f"  {f.path}  ({f.purpose})" for f in data.files]
    lines += [f"  {folder}/" for folder in data.folders]
    lines += ["", "ready when"]
    readiness = launch.readiness
    lines.append(f"  the API port belongs to our process, {readiness.health_path} is 200,")
    for key, least in readiness.health_minimum.items():
        lines.append(f"  which tells {least} or more as `{key}`,")
    if readiness.paused_path:
        lines.append(f"  {readiness.paused_path} does not say that the engine is paused,")
    if readiness.models_path:
        # Where no name is expected, any list will do: that of transformers stays empty.
        answer = f"names {readiness.model}" if readiness.model else "is a list of models"
        lines.append(f"  {readiness.models_path} {answer},")
    for setting in readiness.settings:
        lines.append(f"  {setting.key} is {setting.expected},")
    if readiness.settings_unknown:
        lines.append(f"  (settings: {readiness.settings_unknown})")
    if readiness.completion:
        lines.append(f"  and {readiness.completion_path} brought some text")
    stop = launch.stop
    lines += ["", "stopped by"]
    for when, stages in (("loading", stop.loading), ("ready", stop.ready)):
        texts = ", then ".join(f"{s.signal} ({s.wait:g} s)" for s in stages)
        lines.append(f"  when {when}: {texts}, then SIGKILL to whatever is left")
    lines += ["", "cgroup", *_cgroup(data)]
    if data.notes:
        lines += ["", "notes", *(f"  {note}" for note in data.notes)]
    lines += ["", "as one line", f"  {data.shell}"]
    return "\n".join(lines)


def _port(port: PortUse) -> str:
    return f"  {port.number:<6} on {port.address:<16} {port.shown_as or port.name}"


def _cgroup(data: PlanOutput) -> list[str]:
    cgroup, limit = data.cgroup, data.plan.memory_max
    own = "one for the engine alone" if cgroup.own else "none for the engine alone"
    lines = [f"  {own}: {cgroup.message}"]
    if limit is not None:
        effect = "" if cgroup.memory_max else ", which has no effect here"
        lines.append(f"  memory-max {limit / 1024**3:.1f} GiB{effect}")
    return lines


def _elsewhere(launch: LaunchPlan) -> list[str]:
    """Unix sockets, and numbers that are given to the engine although nothing listens there."""
    lines = []
    for port in launch.ports:
        name = port.shown_as or port.name
        if port.socket:
            note = f"; {port.number} is not a port, only its name" if port.number else ""
            lines.append(f"  {port.socket}  {name}{note}")
    for one in launch.sockets:
        path = one.path.replace("{pid}", "PID")
        lines.append(f"  {path}  {one.shown_as}")
    if lines:
        lines = ["", "unix sockets", *lines]
    unused = [p for p in launch.ports if not p.bound and not p.socket]
    if unused:
        lines += ["", "leased, and not listened on with these settings"]
        lines += [f"  {p.number:<6} {p.shown_as or p.name}" for p in unused]
    return lines


def _running(running: Running | None) -> list[str]:
    if running is None:
        return []
    if not running.differences:
        return [f"it is {running.state} with this very configuration: `up` would change nothing"]
    lines = (f"  {difference}" for difference in running.differences)
    return [f"it is {running.state} with another configuration, `restart` replaces it:", *lines]


def _why(item: Flag | EnvVar) -> str:
    origin = f" ({item.origin})" if item.origin else ""
    return f"{item.reason or 'the profile asks for it'}{origin}"
