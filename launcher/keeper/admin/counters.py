"""Counts what happens to an instance, from the events that its keeper records.

Counters begin with the keeper: a new one begins at 0, as Prometheus expects of a restarted process.
"""

from __future__ import annotations

import collections
import threading
import time
import typing
from collections.abc import Callable

from launcher.json_values import JsonObject, text_at
from launcher.keeper.admin.probes import NOT_READY
from launcher.keeper.incident import Kind
from launcher.lifecycle import InstanceState
from launcher.liveness.judge import Liveness

MOST_RESTARTS = 1000
"""Restarts whose time is kept; a policy that allows more of them in a window is not limited."""


class Counters:
    """An observer of `Record`; all times are seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has happened yet."""
        self._clock = clock
        self.lock = threading.Lock()
        """Held while an event is counted: a page that shows the counters is made meanwhile."""
        self.restarts = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.incidents: collections.Counter[str] = collections.Counter(
            dict.fromkeys(typing.get_args(Kind), 0)
        )
        self.verdicts: collections.Counter[str] = collections.Counter(
            {verdict.value: 0 for verdict in Liveness}
        )
        self.notifications = collections.Counter(sent=0, failed=0)
        self._restart_times: collections.deque[float] = collections.deque(maxlen=MOST_RESTARTS)
        self._loading = 0.0
        self.ready_seconds: float | None = None
        """From the engine's start to ready, of the last run that got there."""
        self._phases: dict[str, float] = {}
        self._phase: str | None = None
        self._phase_began = 0.0
        self._loading_began: float | None = None
        self._state: InstanceState | None = None
        self._verdict: str | None = None
        self._unavailable = 0.0
        self._unavailable_since: float | None = None
        self._was_ready = False

    def observe(self, event: JsonObject) -> None:
        """Take note of one event."""
        with self.lock:
            self._count(event)

    def _count(self, event: JsonObject) -> None:
        match text_at(event, "event"):
            case "state":
                self._enter(InstanceState.parse(event.get("state")))
            case "phase":
                self._enter_phase(text_at(event, "phase"))
            case "liveness":
                verdict = text_at(event, "verdict")
                self._verdict = verdict
                self.verdicts[verdict] += 1
                self._note_availability()
            case "restart":
                self.restarts += 1
                self._restart_times.append(self._clock() - self._loading)
            case "failure":
                self.failures[text_at(event, "code")] += 1
            case "incident":
                self.incidents[text_at(event, "kind")] += 1
            case "notification":
                self.notifications["sent" if event.get("ok") is True else "failed"] += 1

    def phase_seconds(self) -> dict[str, float]:
        """Seconds of each phase of the last start, of the one it is in as far as it is."""
        seconds = dict(self._phases)
        if self._phase is not None:
            passed = self._clock() - self._phase_began
            seconds[self._phase] = seconds.get(self._phase, 0.0) + passed
        return seconds

    def recent_restarts(self, window: float) -> int:
        """Restarts within the last `window` seconds that were not spent loading.

        The restart policy counts the same; see `launcher.keeper.restart_policy`.
        """
        now = self._clock() - self._loading
        if self._state is InstanceState.LOADING and self._loading_began is not None:
            now -= self._clock() - self._loading_began
        return sum(now - time < window for time in self._restart_times)

    def unavailable_seconds(self) -> float:
        """Seconds in which `/readyz` did not say 200, since it first did."""
        since = self._unavailable_since
        return self._unavailable + (self._clock() - since if since is not None else 0.0)

    def _enter(self, state: InstanceState) -> None:
        now = self._clock()
        if state is not self._state:
            self._verdict = None  # it was about the state before
            if self._state is InstanceState.LOADING and self._loading_began is not None:
                self._loading += now - self._loading_began
        self._state = state
        if state is InstanceState.LOADING:
            self._phases, self._phase, self._loading_began = {}, None, now
        else:
            self._end_phase(now)
        if state is InstanceState.READY:
            self._was_ready = True
            if self._loading_began is not None:
                self.ready_seconds = now - self._loading_began
        self._note_availability()

    def _enter_phase(self, phase: str) -> None:
        if phase == self._phase:
            return
        now = self._clock()
        self._end_phase(now)
        self._phase, self._phase_began = phase, now

    def _end_phase(self, now: float) -> None:
        if self._phase is not None:
            passed = now - self._phase_began
            self._phases[self._phase] = self._phases.get(self._phase, 0.0) + passed
            self._phase = None

    def _note_availability(self) -> None:
        is_ready = self._state is InstanceState.READY and self._verdict not in NOT_READY
        now, since = self._clock(), self._unavailable_since
        if is_ready and since is not None:
            self._unavailable += now - since
            self._unavailable_since = None
        elif not is_ready and since is None and self._was_ready:
            self._unavailable_since = now
