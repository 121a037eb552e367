"""Tells the profile's `notify` targets of changes, each message by a short-lived process.

Nothing here waits: a target has a bounded queue and one sender at a time
(`launcher.keeper.notification_sender`), so that one that hangs holds up neither the keeper nor the
others. A message that could not be sent is a `notification` event, and never more than that.
"""

from __future__ import annotations

import collections
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import launcher
from launcher.codec import decode, encode, encode_object
from launcher.errors import Problem
from launcher.json_values import JsonObject, number_at, object_at, text_at, texts_at
from launcher.keeper.helper_process import Ended, Helper
from launcher.keeper.incident import FOLDER, Incident
from launcher.keeper.loop import Loop
from launcher.keeper.record import Record
from launcher.keeper.tree import Tree
from launcher.lifecycle import InstanceState
from launcher.liveness.judge import Liveness
from launcher.plan.model import LaunchPlan, NotifyTarget
from launcher.redact import Redactor

NOTIFICATION_SCHEMA = "ernie-deploy/notification/1"

QUEUE = 20
"""Messages that wait for one target; with one more the oldest is dropped."""
PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "XDG_STATE_HOME"),
    *("XDG_RUNTIME_DIR", "ERNIE_DEPLOY_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
"""Variables of the keeper that a sender and its command get."""
LONGEST_PAUSES = 35.0
"""Seconds a try, for the pause before it and a busy machine: then its sender is ended."""

IN_TROUBLE = ("stalled", "failed", "died", "restarting", "recovered")
"""Changes that belong to an incident, where there is one."""

State = Literal["ready", "stalled", "failed", "died", "restarting", "stopped", "recovered"]


@dataclass(frozen=True)
class IncidentReference:
    """The incident that a message belongs to; `folder` is on the instance's machine."""

    id: str
    kind: str
    folder: str


@dataclass(frozen=True)
class Notification:
    """What a target gets, as JSON. A message that is sent twice has the same `id` both times."""

    id: str
    instance: str
    state: State
    time: float
    message: str
    host: str
    code: str | None = None
    where: str | None = None
    remedy: str | None = None
    restarts: int = 0
    incident: IncidentReference | None = None
    engine: str = ""
    release: str | None = None
    model: str = ""
    base_url: str = ""
    schema: str = NOTIFICATION_SCHEMA


class _Target:
    """One target, its queue and its sender."""

    def __init__(self, target: NotifyTarget) -> None:
        self.target = target
        self.queue: collections.deque[Notification] = collections.deque()
        self.sender: Helper | None = None
        self.failures = 0

    @property
    def busy(self) -> bool:
        return bool(self.queue) or self.sender is not None


class Notifications:
    """Sends what an instance's targets want to know."""

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
        incident: Callable[[], Incident | None],
    ) -> None:
        """Listen to `record`. `secrets` are values by reference; `incident` tells the newest."""
        self._loop, self._tree = loop, tree
        self._folder, self._plan, self._record = folder, plan, record
        self._secrets = secrets
        self._redactor = Redactor(secrets.values())
        self._environ = {name: environ[name] for name in PASSED if name in environ}
        self._incident = incident
        self._targets = [_Target(target) for target in plan.notify]
        self._stalled = self._closing = False
        if self._targets:
            record.observers.append(self._observe)

    def close(self, end: float) -> None:
        """At the end of the keeper: wait until `end` (monotonic) for the last messages, no longer.

        What could not be sent until then is told as such.
        """
        self._loop.run_until(lambda: not self._busy, max(0.0, end - time.monotonic()))
        self._closing = True
        for one in self._targets:
            dropped = list(one.queue)
            one.queue.clear()
            for message in dropped:
                self._tell(one, message, ok=False, text="the keeper ended before it was sent")
            if one.sender is not None:
                one.sender.end()  # it ends what its command has started
        self._loop.run_until(lambda: not self._busy, 3.0)

    @property
    def _busy(self) -> bool:
        return any(one.busy for one in self._targets)

    # -- what happens ---------------------------------------------------------------------------

    def _observe(self, event: JsonObject) -> None:
        try:
            for message in self._messages(event):
                for one in self._targets:
                    if message.state in one.target.on:
                        self._enqueue(one, message)
        except Exception:  # an engine must not be lost for the sake of a message
            traceback.print_exc()

    def _messages(self, event: JsonObject) -> Iterator[Notification]:
        """What there is to tell of an event; nothing for most."""
        kind = text_at(event, "event")
        if kind == "liveness":
            yield from self._of_verdict(event)
        elif kind == "restart":
            yield from self._of_restart(event)
        elif kind == "state":
            yield from self._of_state(event)

    def _of_state(self, event: JsonObject) -> Iterator[Notification]:
        state = InstanceState.parse(event.get("state"))
        if state in (InstanceState.DIED, InstanceState.FAILED):
            error = decode(Problem, event.get("error"), "error", tolerant=True)
            yield self._new("died" if state == InstanceState.DIED else "failed", "", error)
        elif state == InstanceState.STOPPED:
            yield self._new("stopped", "the instance is stopped")
        elif state == InstanceState.READY:
            yield self._of_ready(event)

    def _of_restart(self, event: JsonObject) -> Iterator[Notification]:
        """Where it restarts, no final state tells that a ready engine has died."""
        last = self._incident()
        if last is not None and last.state == InstanceState.READY and last.kind != "restart":
            yield self._new("died", "", Problem(last.code, last.message, last.where, last.remedy))
        number, delay = number_at(event, "number"), number_at(event, "delay") or 0.0
        limit, cause = number_at(event, "limit"), text_at(event, "cause")
        which = f"{number}" if limit is None else f"{number} of {limit}"
        text = f"restart {which} in {delay:g} s{f': {cause}' if cause else ''}"
        yield self._new("restarting", text)

    def _of_verdict(self, event: JsonObject) -> Iterator[Notification]:
        verdict = text_at(event, "verdict")
        if verdict == Liveness.STALLED.value and not self._stalled:
            self._stalled = True
            reasons = "; ".join(texts_at(event, "reasons")) or "it makes no progress"
            yield self._new("stalled", f"the engine does not answer: {reasons}")
        elif self._stalled and verdict in (Liveness.IDLE.value, Liveness.BUSY.value):
            self._stalled = False
            yield self._new("recovered", f"the engine works again; it is {verdict}")

    def _of_ready(self, event: JsonObject) -> Notification:
        self._stalled = False
        last = self._incident()
        lost = last is not None and last.kind == "lost-keeper"
        if not self._record.state.restarts and not lost:
            return self._new("ready", f"ready after {number_at(event, 'seconds') or 0:g} s")
        away = f" after {last.away:g} s" if last is not None and last.away is not None else ""
        return self._new("recovered", f"service is back{away}")

    def _new(self, state: State, text: str, error: Problem | None = None) -> Notification:
        plan, last = self._plan, self._incident()
        reference = None
        if last is not None and state in IN_TROUBLE:
            folder = str(self._folder / FOLDER / last.id)
            reference = IncidentReference(last.id, last.kind, folder)
        return Notification(
            id=os.urandom(8).hex(),
            instance=plan.instance,
            state=state,
            time=round(time.time(), 3),
            message=self._redactor.text(error.message if error else text),
            host=os.uname().nodename,
            code=error.code if error else None,
            where=error.where if error else None,
            remedy=error.remedy if error else None,
            restarts=self._record.state.restarts,
            incident=reference,
            engine=plan.engine,
            release=plan.release,
            model=plan.model,
            base_url=plan.base_url,
        )

    # -- sending --------------------------------------------------------------------------------

    def _enqueue(self, one: _Target, message: Notification) -> None:
        one.queue.append(message)
        if len(one.queue) > QUEUE:
            dropped = one.queue.popleft()
            self._tell(one, dropped, ok=False, text=f"more than {QUEUE} messages wait")
        self._next(one)

    def _next(self, one: _Target) -> None:
        """Start a sender for the oldest message, unless one is at work."""
        if one.sender is not None or not one.queue or self._closing:
            return
        message = one.queue.popleft()

        def ended(end: Ended) -> None:
            one.sender = None
            ok, text = _outcome(end)
            self._tell(one, message, ok=ok, text=text)
            self._next(one)

        target = one.target
        env = {**self._environ, "PYTHONPATH": str(Path(launcher.__file__).resolve().parent.parent)}
        argv = [sys.executable, "-S", "-m", "launcher.keeper.notification_sender"]
        deadline = (target.timeout + LONGEST_PAUSES) * (target.retries + 1)
        try:
            one.sender = Helper(
                self._loop, self._tree, argv, ended, env=env, deadline=deadline, limit=16 * 1024,
                stdin=json.dumps(self._task(target, message)).encode(),
            )  # fmt: skip
        except OSError as error:
            text = f"its sender cannot be started: {error.strerror}"
            self._tell(one, message, ok=False, text=text)

    def _task(self, target: NotifyTarget, message: Notification) -> JsonObject:
        """The target with its secrets put in; it is given to the sender in memory only."""
        variables = {
            **self._environ,
            "ERNIE_DEPLOY_NAME": message.instance,
            "ERNIE_DEPLOY_STATE": message.state,
            "ERNIE_DEPLOY_INCIDENT": message.incident.id if message.incident else "",
        }
        whole = {
            **encode_object(target),
            "webhook": self._secrets.get(target.webhook or "", target.webhook),
            "headers": {n: self._secrets.get(v, v) for n, v in target.headers.items()},
            "env": {n: self._secrets.get(v, v) for n, v in target.env.items()},
        }
        return {**whole, "variables": variables, "message": encode(message)}

    def _tell(self, one: _Target, message: Notification, *, ok: bool, text: str) -> None:
        if not ok:
            one.failures += 1
        self._record.event(
            "notification",
            target=one.target.name,
            state=message.state,
            ok=ok,
            message=self._redactor.text(text),
            failures=one.failures,
        )


def _outcome(end: Ended) -> tuple[bool, str]:
    """Whether a message was taken, and what is to be said of it."""
    try:
        answer = object_at(json.loads(end.output))
    except ValueError:
        return False, "its sender did not end in time" if not end.in_time else "its sender failed"
    tries = number_at(answer, "tries") or 1
    if answer.get("ok") is True:
        return True, "sent" if tries == 1 else f"sent with try {tries}"
    times = "" if tries == 1 else f", {tries} times"
    return False, f"{text_at(answer, 'message')}{times}"
