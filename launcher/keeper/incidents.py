"""Writes an instance's incidents while it is kept; see `launcher.keeper.incident`.

Everything is learnt from the events of the record. At the failure itself only the samples are
written and, of an engine that hangs, the stacks are begun: the engine's end waits for these
`stack_dump.LONGEST` seconds at most, a restart for nothing. The rest is collected by a process of
its own. Nothing that fails here harms the keeper: a full disk loses an incident.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import launcher
from launcher import files
from launcher.codec import decode, encode
from launcher.json_values import JsonObject, number_at, object_at, text_at, texts_at
from launcher.keeper import incident
from launcher.keeper.helper_process import Ended, Helper
from launcher.keeper.incident import Incident, Kind
from launcher.keeper.incident_collector import Collected, Task
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.record import Record
from launcher.keeper.stack_dump import StackDump, find_py_spy
from launcher.keeper.state import EndError
from launcher.keeper.tree import Tree
from launcher.lifecycle import UNSUCCESSFUL, InstanceState
from launcher.liveness.judge import Liveness
from launcher.liveness.sample import Sample
from launcher.plan.model import LaunchPlan

STALLED = "engine-stalled"
HANGS = (STALLED, "no-progress", "startup-timeout", "completion-timeout")
"""Codes of failures of an engine that still runs: its stacks tell where it hangs."""
SETTLE = 2.0
"""Seconds after a stall until its logs are collected, unless the engine is ended before that."""
COLLECT_DEADLINE = 60.0
"""Seconds that the collector gets."""
MOST_NOTES = 20
"""What could not be kept is told at most this many times per incident."""

Samples = Callable[[], Sequence[Sample]]


class IncidentWriter:
    """One instance's incidents, over all its runs."""

    def __init__(
        self,
        loop: Loop,
        tree: Tree,
        folder: Path,
        plan: LaunchPlan,
        record: Record,
        *,
        secrets: Mapping[str, str],
        environ: Mapping[str, str],
        samples: Samples,
    ) -> None:
        """Listen to `record`; `samples` are those of the minutes before, none where not known.

        `secrets` are taken out of what is kept.
        """
        self._loop, self._tree = loop, tree
        self._folder, self._plan, self._record = folder, plan, record
        self._secrets = tuple(secrets.values())
        self._environ = environ
        self._samples = samples
        self._open: dict[str, Incident] = {}
        """Those after which service is not back yet, oldest first."""
        self._current: str | None = None
        """The one of this run, which has not been decided."""
        self._dump: StackDump | None = None
        self._dumped: str | None = None
        self._timer: Timer | None = None
        self._collectors: list[Helper] = []
        self._failure_told = False
        self.newest: Incident | None = None
        """The newest one, of this keeper or of a killed one after which service has come back."""
        record.observers.append(self._observe)

    def wait_for_stacks(self) -> None:
        """Before the engine is ended: its stacks need it alive."""
        if self._dump is not None:
            self._dump.wait()

    def close(self, end: float) -> None:
        """At the end of the keeper: wait until `end` (monotonic) for what is still collected."""
        self._loop.run_until(lambda: not self._busy, max(0.0, end - time.monotonic()))
        for helper in self._collectors:
            helper.kill()
        if self._dump is not None:
            self._dump.close()
        self._loop.run_until(lambda: not self._busy, 1.0)

    @property
    def _busy(self) -> bool:
        return any(helper.running for helper in self._collectors)

    # -- what happens ---------------------------------------------------------------------------

    def _observe(self, event: JsonObject) -> None:
        handler = {
            "failure": self._failed,
            "liveness": self._judged,
            "state": self._entered,
            "restart": self._restarts,
        }.get(text_at(event, "event"))
        if handler is None:
            return
        try:
            handler(event)
        except Exception:  # an engine must not be lost for the sake of its history
            traceback.print_exc()

    def _failed(self, event: JsonObject) -> None:
        """Of a start that was the first, `up` has told all there is."""
        code, message = text_at(event, "code"), text_at(event, "message")
        if self._current is not None:
            self._change(self._current, code=code, message=message)
        elif self._counts():
            self.begin("stall" if code == STALLED else "failure", code, message)
        if code in HANGS and self._current is not None:
            self._take_stacks(self._current)

    def _judged(self, event: JsonObject) -> None:
        verdict, since = text_at(event, "verdict"), number_at(event, "since")
        reasons = texts_at(event, "reasons")
        if verdict == Liveness.STALLED.value and self._current is None:
            message = f"the engine does not answer: {'; '.join(reasons) or 'it makes no progress'}"
            self.begin("stall", STALLED, message, since=since, verdict=verdict, reasons=reasons)
            if self._current is not None:
                self._take_stacks(self._current)
                current = self._current
                self._timer = self._loop.call_later(SETTLE, lambda: self._collect(current, None))
        elif verdict not in (Liveness.STALLED.value, Liveness.DEAD.value):
            self._went_on()

    def _went_on(self) -> None:
        """A server that seemed to hang works again, without our doing."""
        current = self._open.get(self._current or "")
        if current is not None and current.kind == "stall" and current.action == "pending":
            self._change(current.id, action="reported", back_at=round(time.time(), 3))
            self._forget(current.id)

    def _entered(self, event: JsonObject) -> None:
        state = InstanceState.parse(event.get("state"))
        if state == InstanceState.READY:
            self._is_back()
        elif state in UNSUCCESSFUL:
            self._ended(decode(EndError, event.get("error"), "error", tolerant=True))
        elif state == InstanceState.STOPPED:
            for one in list(self._open.values()):
                if one.action == "pending":
                    self._change(one.id, action="stopped")
            if self._current is not None:
                self._collect(self._current, self._record.state.log_lengths)
            self._current = None

    def run_ended(self) -> None:
        """Another run follows: keep of the one that failed what the record forgets now."""
        try:
            error = self._record.state.error
            if error is not None:
                self._ended(error)
        except Exception:
            traceback.print_exc()

    def _ended(self, error: EndError) -> None:
        """A run is over by a failure, and its cause is known as well as it will be."""
        if self._current is None:
            if not self._counts():
                return
            self.begin("failure", error.code, error.message)
        if self._current is None:
            return
        self._change(
            self._current,
            code=error.code,
            message=error.message,
            where=error.where,
            remedy=error.remedy,
            retry=error.retry,
            engine_exit=self._record.state.evident_exit,
            action="given-up",  # unless a restart follows, which is told next
        )
        self._collect(self._current, self._record.state.log_lengths)

    def _restarts(self, event: JsonObject) -> None:
        number, delay = number_at(event, "number"), number_at(event, "delay")
        if self._current is None:
            cause = text_at(event, "cause") or "the profile's restart policy"
            self.begin("restart", "restart", f"the engine is started again: {cause}")
            if self._current is not None:
                self._collect(self._current, None)
        if self._current is not None:
            count = None if number is None else int(number)
            self._change(self._current, action="restarted", number=count, delay=delay)
        self._current = None

    def _is_back(self) -> None:
        now = time.time()
        if not self._record.state.restarts:
            self._is_back_after_loss(now)
        for one in list(self._open.values()):
            self._change(one.id, back_at=round(now, 3))
            self._forget(one.id)

    def _is_back_after_loss(self, now: float) -> None:
        """The keeper before this one was killed, and `up` wrote its incident."""
        for folder in incident.folders(self._folder)[-1:]:
            try:
                lost = incident.read(folder)
                if lost.kind == "lost-keeper" and lost.action == "restarted" and not lost.back_at:
                    self.newest = incident.with_back(lost, now)
                    incident.write(folder, self.newest)
            except (OSError, ValueError, RecursionError) as error:
                self._tell_failure(f"{folder.name} cannot be completed: {error}")

    def _counts(self) -> bool:
        state = self._record.state
        return state.ready_at is not None or state.restarts > 0

    # -- what is written ------------------------------------------------------------------------

    def begin(
        self,
        kind: Kind,
        reason: str,
        message: str,
        *,
        since: float | None = None,
        verdict: str | None = None,
        reasons: Sequence[str] = (),
    ) -> None:
        """Open an incident and keep what will be gone in a moment; returns at once.

        `reason` is the code of the failure, or a word of its kind.
        """
        state, plan, now = self._record.state, self._plan, time.time()
        if not reasons and state.liveness is not None:
            verdict, reasons = state.liveness.verdict.value, state.liveness.reasons
        new = Incident(
            id=incident.new_id(now),
            kind=kind,
            instance=plan.instance,
            time=round(now, 3),
            since=round(min(since or now, now), 3),
            code=reason,
            message=message,
            verdict=verdict,
            reasons=tuple(reasons),
            state=str(state.state),
            engine=plan.engine,
            release=plan.release,
            model=plan.model,
            restarts=state.restarts,
            started_at=state.started_at,
            ready_at=state.ready_at,
            keeper=state.keeper,
        )
        self._current = new.id
        self._open[new.id] = self.newest = new
        while len(self._open) > incident.MOST:
            del self._open[next(iter(self._open))]
        try:
            folder = incident.create(self._folder, new)
        except OSError as error:
            self._tell_failure(f"an incident cannot be kept: {error.strerror}")
            self._record.event("incident", id=new.id, kind=kind, folder=None)
            return
        self._keep_samples(folder)
        incident.prune(self._folder)
        self._record.event("incident", id=new.id, kind=kind, folder=str(folder))

    def _keep_samples(self, folder: Path) -> None:
        text = incident.samples_text(self._samples())
        if not text:
            return
        try:
            files.write_atomically(folder / "samples.jsonl", text)
        except OSError as error:
            self._tell_failure(f"the samples of an incident are not kept: {error.strerror}")

    def _take_stacks(self, key: str) -> None:
        folder = self._folder / incident.FOLDER / key
        if self._dumped == key or not folder.is_dir():
            return
        self._dumped = key
        self._dump = StackDump(
            self._loop,
            self._tree,
            folder,
            find_py_spy(self._plan.argv[0], self._environ),
            lambda text: self._note(key, text),
        )

    def _collect(self, key: str, lengths: Mapping[str, int] | None) -> None:
        """Have the logs around an incident kept by a process of its own."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        folder = self._folder / incident.FOLDER / key
        if not folder.is_dir():
            return
        state = self._record.state
        if lengths is None:  # the engine goes on: what it writes from now on came later
            lengths = files.lengths(self._folder / "logs", self._plan.log_folder)
        task = Task(
            folder,
            self._folder,
            lengths,
            self._secrets,
            exit_code=state.evident_exit,
            was_ready=state.ready_at is not None,
            since=state.started_at,
            served=state.ready_at,
        )
        env = {"PYTHONPATH": str(Path(launcher.__file__).resolve().parent.parent)}
        env["PATH"] = self._environ.get("PATH", os.defpath)
        argv = [sys.executable, "-m", "launcher.keeper.incident_collector"]

        def ended(end: Ended) -> None:
            self._collectors = [one for one in self._collectors if one.running]
            self._learn(key, end)

        try:
            helper = Helper(
                self._loop, self._tree, argv, ended, env=env, deadline=COLLECT_DEADLINE,
                limit=64 * 1024, stdin=json.dumps(encode(task)).encode(),
            )  # fmt: skip
        except OSError as error:
            self._note(key, f"its logs are not kept: {error}")
            return
        self._collectors.append(helper)

    def _learn(self, key: str, end: Ended) -> None:
        try:
            collected = decode(Collected, object_at(json.loads(end.output)), "collected")
        except ValueError:
            how = f"exit code {end.code}" if end.in_time else "not done in time"
            collected = Collected(None, (f"not all of its logs are kept: {how}",))
        for note in collected.notes:
            self._note(key, note)
        if collected.cause is not None:
            self._change(key, cause=collected.cause)
        incident.prune(self._folder)

    def _note(self, key: str, text: str) -> None:
        current = self._load(key)
        if current is not None and text not in current.notes and len(current.notes) < MOST_NOTES:
            self._change(key, notes=(*current.notes, text))

    def _load(self, key: str) -> Incident | None:
        """An incident that is open, or one that was closed and lies on disk."""
        if key in self._open:
            return self._open[key]
        try:
            return incident.read(self._folder / incident.FOLDER / key)
        except (OSError, ValueError, RecursionError):
            return None

    def _change(self, key: str, **fields: Any) -> None:
        current = self._load(key)
        if current is None:
            return
        changed = dataclasses.replace(current, **fields)
        if key in self._open:
            self._open[key] = changed
        if self.newest is not None and self.newest.id == key:
            self.newest = changed
        folder = self._folder / incident.FOLDER / key
        try:
            if folder.is_dir():
                incident.write(folder, changed)
        except OSError as error:
            self._tell_failure(f"the incident {key} cannot be written: {error.strerror}")

    def _forget(self, key: str) -> None:
        self._open.pop(key, None)
        if self._current == key:
            self._current = None

    def _tell_failure(self, text: str) -> None:
        """Once: a disk that is full stays so, and each telling is a line on it."""
        if not self._failure_told:
            self._failure_told = True
            self._record.event("warning", message=text)
