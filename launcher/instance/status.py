"""`status`: how instances are, from their files, their keepers, and one question to each server."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.health import HEALTH_TIMEOUT, ask_health, with_stopped
from launcher.instance.store import InstanceDir, check_readable, foreign_host, is_locked, view
from launcher.keeper.identity import is_same_process
from launcher.keeper.state import State
from launcher.lifecycle import COMING, LIVE, UNSUCCESSFUL, InstanceState
from launcher.result import Result

KEEPER_TIMEOUT = 2.0
"""Seconds a keeper gets to answer; it does nothing that takes longer than milliseconds."""
HEALTHY_STATES = (InstanceState.READY,)


def status(instances: Sequence[InstanceDir], *, one: bool) -> Result:
    """The state of each instance, asked of all at the same time.

    With `one` the exit code is 0 only if that instance is ready; else stopped instances do not
    count and any other that is not ready makes it 1.
    """
    if instances:
        # Imported now rather than by all threads at once, each waiting for the others.
        import launcher.keeper.control
        import launcher.probe.readiness  # noqa: F401
    rows: list[dict[str, Any]] = [{} for _ in instances]
    threads = [
        threading.Thread(target=_fill, args=(rows, index, item), daemon=True)
        for index, item in enumerate(instances)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HEALTH_TIMEOUT + KEEPER_TIMEOUT + 1)
    for row, item in zip(rows, instances, strict=True):
        row.setdefault("name", item.name)
        row.setdefault("state", InstanceState.UNKNOWN)
        row["message"] = message(row)
    counted = (
        rows
        if one
        else [r for r in rows if r["state"] not in (InstanceState.STOPPED, InstanceState.ABSENT)]
    )
    all_healthy = all(r["state"] in HEALTHY_STATES and r.get("healthy", True) for r in counted)
    errors = tuple(
        Problem("not-ready", r["message"], None, r.get("remedy"))
        for r in counted
        if not (r["state"] in HEALTHY_STATES and r.get("healthy", True))
    )
    name = instances[0].name if one and instances else None
    code = ExitCode.DONE if all_healthy else ExitCode.NEGATIVE
    return Result("status", {"instances": rows}, name, code, errors)


def message(row: Mapping[str, Any]) -> str:
    """One sentence: what the instance is, and why where that is known."""
    name, state, why = row["name"], row["state"], row.get("note")
    if state == InstanceState.READY:
        if row.get("healthy", True):
            return f"{name} is ready"
        return f"{name} is unhealthy: {row['health']}"
    if state == InstanceState.UNKNOWN:
        return f"the state of {name} is unknown: {why or 'it could not be read in time'}"
    if state in UNSUCCESSFUL:
        why = why or (row.get("error") or {}).get("message")
    elif state in COMING and row.get("phase"):
        percent = f" {row['percent']:.0f} %" if row.get("percent") is not None else ""
        why = why or f"phase {row['phase']}{percent}"
    verb = "has" if state in UNSUCCESSFUL else "is"
    summary = f"{name} {verb} {state.upper() if state == 'lost' else state}"
    return f"{summary}: {why}" if why else summary


def _fill(rows: list[dict[str, Any]], index: int, instance: InstanceDir) -> None:
    try:
        check_readable(instance)
        rows[index] = describe(instance)
    except DeployError as error:
        rows[index] = {"name": instance.name, "state": InstanceState.UNKNOWN, "note": str(error)}
    except Exception as error:  # one broken instance must not hide the others
        rows[index] = {"name": instance.name, "state": InstanceState.UNKNOWN, "note": repr(error)}


def describe(instance: InstanceDir) -> dict[str, Any]:
    """Everything `status` says about one instance."""
    name, state, note = view(instance)
    row: dict[str, Any] = {"name": instance.name, "state": name, "note": note}
    processes: list[dict[str, Any]] = []
    if name == InstanceState.DAMAGED and is_locked(instance.folder):
        name = InstanceState.STARTING  # a keeper lives that knows better than its file
    if name in LIVE:
        from launcher.keeper.control import Client

        try:
            client = Client(instance.folder, KEEPER_TIMEOUT)
            try:
                reported = client.request("status")["state"]
            finally:
                client.close()
            row["state"] = InstanceState.parse(reported["state"])
            if row["state"] == InstanceState.UNKNOWN:  # a newer keeper's
                row["note"] = f"the keeper reports the state {reported['state']!r}"
            row.update(_from_state(reported))
            processes = list(reported.get("processes") or ())
        except (OSError, KeyError) as error:
            row["note"] = f"the keeper does not answer ({error})"
            row["state"] = InstanceState.UNKNOWN
    elif state is not None:
        row.update(_from_state(state.__dict__))
        row.update(_living(state))
    if name == InstanceState.LOST:
        row["remedy"] = f"`ernie-deploy down {instance.name}`"
    try:
        plan = instance.plan_data()
    except DeployError:
        return row
    row.update({key: plan.get(key) for key in ("engine", "release", "model", "base_url")})
    if row["state"] == InstanceState.READY:
        pids = [process["pid"] for process in processes]
        answer = ask_health(plan, pids, row.get("keeper_pid"), HEALTH_TIMEOUT)
        answer = with_stopped(answer, processes)
        row["healthy"], row["health"] = answer.well, answer.message
        row["health_status"], row["health_body"] = answer.status, answer.body
        if not answer.well:
            row["health_remedy"] = answer.remedy
            row["remedy"] = f"`ernie-deploy diagnose {instance.name}` names the cause"
    return row


def _from_state(reported: dict[str, Any]) -> dict[str, Any]:
    keys = (
        "phase", "percent", "ports", "started_at", "ready_at", "ended_at", "error", "exit_code",
        "receipt", "restarts", "engine_exit", "forced", "was",
    )  # fmt: skip
    row = {key: reported.get(key) for key in keys}
    row["pid"] = (reported.get("engine") or {}).get("pid")
    row["keeper_pid"] = (reported.get("keeper") or {}).get("pid")
    row["processes"] = len(reported.get("processes") or ())
    if reported.get("ready_at") and reported.get("state") == InstanceState.READY:
        row["ready_for"] = round(time.time() - reported["ready_at"], 1)
    return row


def _living(state: State) -> dict[str, Any]:
    """Which of the stored processes still live: a number of the dead may be anybody's by now."""
    pids = set()
    if foreign_host(state) is None:
        pids = {p["pid"] for p in state.processes if is_same_process(p["pid"], p["start"])}
    engine = state.engine.get("pid")
    return {
        "pid": engine if engine in pids else None,
        "keeper_pid": None,
        "processes": len(pids) or None,
    }
