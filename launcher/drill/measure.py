"""One scenario on one instance: the fault, what the keeper does, and the measured values."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from launcher.drill.feed import GONE, Feed, time_of
from launcher.drill.leftovers import left_by
from launcher.drill.load import Load
from launcher.drill.misses import misses
from launcher.drill.payloads import Measured, RequestCounts, ScenarioResult
from launcher.drill.restore import Restorer
from launcher.drill.scenario import Course, Fault, Scenario, Stage, false_alarm
from launcher.drill.subject import Subject
from launcher.drill.undo import Undo
from launcher.instance.store import view
from launcher.json_values import JsonObject, at, number_at, text_at
from launcher.keeper.state import State
from launcher.lifecycle import InstanceState

PATIENCE = 10.0
"""Seconds beyond a bar, and twice the bar, after which something counts as never noticed."""
START_FACTOR, START_MARGIN = 3.0, 30.0
"""A restart is waited for so many times the engine's last start, and seconds beyond."""
FIRST_ANSWER = 60.0
"""Seconds for the first answer before the fault, and for one after service is back."""
AFTER = 20.0
"""Seconds that requests which still run get at the end."""
LOOK = 0.005
"""Seconds between two looks at an instance whose keeper was killed: nothing tells of that."""


@dataclass
class _Values:
    """What is being measured."""

    detected: JsonObject | None = None
    ready_at: float | None = None
    engine_start: float | None = None
    delay: float = 0.0
    alarms: list[str] = field(default_factory=list)
    requests: RequestCounts = field(default_factory=RequestCounts)
    leftovers: tuple[str, ...] = ()


def measure(
    subject: Subject, scenario: Scenario, number: int, undo: Undo, restorer: Restorer
) -> ScenarioResult:
    """Run `scenario` in round `number` on the ready instance; it is not brought up again here.

    Raises:
        KeyboardInterrupt: the fault is undone then.
    """
    begun = time.monotonic()
    state = subject.state()
    obstacle = scenario.obstacle(subject, state)
    if obstacle is not None:
        return ScenarioResult(
            scenario.name, number, "not applicable", scenario.bar, message=obstacle
        )
    feed = Feed(subject.instance.folder)
    load = Load(subject.plan, subject.key, scenario.clients)
    run = _Run(subject, scenario, state, feed, load, restorer)
    try:
        load.start()
        since = time.time()
        load.wait_for_answer(since, FIRST_ANSWER)
        with scenario.inject(Stage(subject, state, feed, load, undo)) as fault:
            run.during(fault)
        run.afterwards(fault)
    finally:
        load.stop(0.0)
        feed.close()
    return _result(scenario, number, fault, run, time.monotonic() - begun)


class _Run:
    """The course of one scenario."""

    def __init__(
        self,
        subject: Subject,
        scenario: Scenario,
        before: State,
        feed: Feed,
        load: Load,
        restorer: Restorer,
    ) -> None:
        self.subject, self.scenario, self.before = subject, scenario, before
        self.feed, self.load, self.restorer = feed, load, restorer
        self.values = _Values()
        started = (before.ready_at or 0.0) - before.started_at
        self.start = max(0.0, started) if before.ready_at else 0.0

    # -- while the fault lasts --------------------------------------------------------------------

    def during(self, fault: Fault) -> None:
        """Wait until the keeper has noticed, or that it has nothing to notice."""
        scenario, bar = self.scenario, self.scenario.bar
        if scenario.course is Course.UNDISTURBED:
            time.sleep(max(0.0, fault.at + scenario.lasts - time.time()))
        elif scenario.course is Course.STARTED_ANEW:
            self._keeper_gone(fault)
        elif self.values.detected is None:
            limit = 2 * (bar.detection or 0.0) + PATIENCE
            self.values.detected = self.feed.wait(scenario.notices, fault.since, limit)

    def _keeper_gone(self, fault: Fault) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if view(self.subject.instance)[0] == InstanceState.LOST:
                self.values.detected = {"event": "lost", "time": time.time()}
                return
            time.sleep(LOOK)

    # -- after it ---------------------------------------------------------------------------------

    def afterwards(self, fault: Fault) -> None:
        """Wait until service is back, or that it does not come back by itself; then count."""
        course, values = self.scenario.course, self.values
        if course is Course.STARTED_ANEW:
            values.engine_start = self.restorer.restore(self.subject.instance)
            values.ready_at = self.subject.state().ready_at
        elif course is Course.RESTARTED and values.detected is not None:
            self._restarted(fault)
        elif course is Course.PAUSED and values.detected is not None:
            self._resumed(fault)
        elif course is Course.UNDISTURBED:
            time.sleep(self.scenario.watched_after)
        ready = view(self.subject.instance)[0] == InstanceState.READY
        back = values.ready_at or fault.cleared_at or time.time()
        if ready:
            self.load.wait_for_answer(back, FIRST_ANSWER)
        self.load.stop(AFTER)
        values.requests = self.load.counts(fault.since)
        values.alarms += self._false_alarms(fault)
        values.leftovers = left_by(self.subject, self.before, self.subject.state())

    def _restarted(self, fault: Fault) -> None:
        values, since = self.values, fault.since
        limit = START_FACTOR * self.start + START_MARGIN + (self.scenario.bar.restart or 0.0)
        end = self.feed.wait(_is_end, since, limit)
        if end is None or text_at(end, "state") != InstanceState.READY:
            return
        values.ready_at = time_of(end)
        events = self.feed.since(since)
        loading = [
            time_of(one) for one in events
            if _state(one) == InstanceState.LOADING and time_of(one) <= time_of(end)
        ]  # fmt: skip
        values.engine_start = values.ready_at - loading[-1] if loading else None
        values.delay = sum(
            number_at(one, "delay") or 0.0 for one in events
            if at(one, "event") == "restart" and time_of(one) <= time_of(end)
        )  # fmt: skip

    def _resumed(self, fault: Fault) -> None:
        """The verdict has to change back once the fault is gone."""
        since = time.time()
        back = self.feed.wait(
            lambda event: text_at(event, "verdict") in ("idle", "busy"), since, PATIENCE + 10.0
        )
        if back is None:
            self.values.alarms.append("called paused after the fault was gone")
        elif (verdict := time_of(back)) > 0:
            self.values.ready_at = verdict

    def _false_alarms(self, fault: Fault) -> list[str]:
        """What the keeper said and should not have."""
        course = self.scenario.course
        if course is Course.STARTED_ANEW:
            return []
        alarms = [text for one in self.feed.since(fault.since) if (text := false_alarm(one))]
        # The first failure is the fault's own; its verdict may come before it.
        if course is Course.RESTARTED:
            failures = [text for text in alarms if text.startswith("failure")]
            return failures[1:]
        return alarms


def _state(event: JsonObject) -> str:
    return text_at(event, "state") if at(event, "event") == "state" else ""


def _is_end(event: JsonObject) -> bool:
    """Ready again, or given up: then the keeper ends too."""
    return _state(event) == InstanceState.READY or at(event, "event") == GONE


def _result(
    scenario: Scenario, number: int, fault: Fault, run: _Run, seconds: float
) -> ScenarioResult:
    values, restarts = run.values, run.subject.restarts
    detection = None
    if values.detected is not None:
        detection = round(max(0.0, time_of(values.detected) - fault.at), 3)
    restart = None
    if values.ready_at is not None and values.engine_start is not None:
        since = max(fault.at, fault.cleared_at or 0.0)
        if since > values.ready_at:
            since = fault.at  # it came back although the obstacle was there
        outage = values.ready_at - since - values.engine_start - values.delay
        restart = round(max(0.0, outage), 3)
    measured = Measured(
        detection, _name_of(values.detected), restart,
        None if values.engine_start is None else round(values.engine_start, 3),
        round(values.delay, 3), values.requests, tuple(values.alarms), values.leftovers,
    )  # fmt: skip
    comes_back = restarts or scenario.course is not Course.RESTARTED
    missed = tuple(misses(scenario.bar, measured, restarts=comes_back))
    never = "" if comes_back else "`restart.policy` is `never`: its restart is not judged"
    note = "; ".join(filter(None, (fault.note, never)))
    return ScenarioResult(
        scenario.name, number, "miss" if missed else "pass", scenario.bar, measured, missed,
        fault.simulated, note, seconds=round(seconds, 3),
    )  # fmt: skip


def _name_of(event: JsonObject | None) -> str:
    if event is None:
        return ""
    detail = text_at(event, "code") or text_at(event, "verdict")
    return f"{text_at(event, 'event')} {detail}".strip()
