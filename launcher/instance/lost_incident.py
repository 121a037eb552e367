"""The incident of a keeper that was killed: written by the verb that finds it, once."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Literal

from launcher.diagnose import log_lengths
from launcher.errors import DeployError
from launcher.instance.logs import secret_values
from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject, number_at, text_at
from launcher.keeper import incident
from launcher.keeper.events import Events, read_events
from launcher.keeper.incident import Incident
from launcher.keeper.incident_collector import Task, collect
from launcher.keeper.state import State
from launcher.lifecycle import FINAL, InstanceState

CODE = "keeper-lost"
LARGEST_LOGS = 64 * 1024 * 1024
"""Bytes of logs that are judged while `up` or `down` waits: a second or two."""


class LostKeeper:
    """What is known of a killed keeper before anything of its instance is cleaned up."""

    def __init__(
        self,
        instance: InstanceDir,
        state: State | None,
        note: str | None,
        action: Literal["restarted", "stopped"],
    ) -> None:
        """Look at what lies on disk; `action` is what the verb that holds the lock goes on to do.

        `note` says how it came to be lost; `state` is None where it cannot be read.
        """
        self._instance = instance
        self._action = action
        history = [one for one in read_events(instance.folder) if one.get("event") == "state"]
        last = history[-1] if history else {}
        self._was = state.state if state else InstanceState.parse(last.get("state"))
        self._since = _last_sign(instance, state, last)
        reason = (note or "its keeper was killed").partition(";")[0]
        self._message = f"{reason}; the instance was {self._was}"

    def write(self, state: State, events: Events) -> None:
        """Write the incident, unless there is one of this keeper; what fails is a warning.

        Called after the end of the engine's processes, which does not wait for it.
        """
        if self._was in FINAL:
            return  # its state was damaged after its keeper had ended
        try:
            self._write(state, events)
        except OSError as error:
            events.append("warning", message=f"an incident cannot be kept: {error.strerror}")

    def _write(self, state: State, events: Events) -> None:
        instance = self._instance
        known = incident.read_all(instance.folder)
        for _, one in known:
            same = one.started_at == state.started_at and one.keeper == state.keeper
            if one.kind == "lost-keeper" and same and state.keeper is not None:
                return
        for folder, one in known:
            if one.action == "pending":
                incident.write(folder, dataclasses.replace(one, action="keeper-lost"))
        now = time.time()
        planned: JsonObject = {}
        with contextlib.suppress(DeployError):
            planned = instance.plan_data()
        new = Incident(
            id=incident.new_id(now),
            kind="lost-keeper",
            instance=instance.name,
            time=round(now, 3),
            since=round(min(now, self._since or now), 3),
            code=CODE,
            message=self._message,
            verdict=state.liveness.verdict.value if state.liveness else None,
            reasons=state.liveness.reasons if state.liveness else (),
            state=str(self._was),
            engine=text_at(planned, "engine"),
            release=text_at(planned, "release") or None,
            model=text_at(planned, "model"),
            restarts=state.restarts,
            started_at=state.started_at,
            ready_at=state.ready_at,
            keeper=state.keeper,
            action=self._action,
        )
        folder = incident.create(instance.folder, new)
        collected = collect(
            Task(
                folder,
                instance.folder,
                state.log_lengths,
                secret_values(instance),
                LARGEST_LOGS,
                was_ready=state.ready_at is not None,
                since=state.started_at or None,
                served=state.ready_at,
            )
        )
        whole = dataclasses.replace(new, cause=collected.cause, notes=collected.notes)
        incident.write(folder, whole)
        incident.prune(instance.folder)
        events.append("incident", id=new.id, kind=new.kind, folder=str(folder))


def _last_sign(instance: InstanceDir, state: State | None, last: JsonObject) -> float:
    """When the keeper was last known to live; its guard notes its end beside the logs."""
    token = state.token if state else instance.token()
    times = [number_at(last, "time") or 0.0]
    if state is not None:
        times += [state.started_at, state.ready_at or 0.0]
    paths = [instance.folder / "state.json", instance.engine_log]
    if log_lengths.of_start(instance.logs, token) is not None:
        paths = [instance.logs / log_lengths.NAME]
        times = []
    for path in paths:
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times, default=0.0)
