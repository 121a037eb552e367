"""Wrong answers of a living server: only an engine that can play them has these scenarios."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from launcher.drill.bar import Bar
from launcher.drill.scenario import Course, Fault, Scenario, Stage
from launcher.drill.scenarios import roles
from launcher.drill.subject import Subject
from launcher.keeper.state import State

TWO_SAMPLES = 12.0
"""Seconds in which two samples of a ready server are taken, and a little more."""


def _planted(name: str) -> Callable[[Stage], AbstractContextManager[Fault]]:
    @contextmanager
    def inject(stage: Stage) -> Iterator[Fault]:
        with stage.subject.faults.planted(name, stage.undo):
            yield Fault(time.time())

    return inject


def _obstacle(name: str) -> Callable[[Subject, State], str | None]:
    def obstacle(subject: Subject, state: State) -> str | None:
        if name in subject.faults.names:
            return None
        return "a real server cannot be told to answer so; an engine for tests can"

    return obstacle


def _scenario(name: str, action: str, simulates: str, bar: Bar, course: Course) -> Scenario:
    return Scenario(name, action, simulates, bar, _planted(name), course, _obstacle(name))


SCENARIOS = (
    _scenario(
        "health-304",
        "GET /health answers 304",
        "FastDeploy with cleared weights: paused on purpose",
        Bar(detection=TWO_SAMPLES),
        Course.PAUSED,
    ),
    _scenario(
        "health-404",
        "the worker's heartbeat stops: GET /health answers 404, completions hang",
        "a worker that hangs",
        Bar(detection=roles.STALL, restart=roles.STALL + roles.RESTART),
        Course.RESTARTED,
    ),
    _scenario(
        "chat-hangs",
        "every completion hangs while GET /health answers 200",
        "a deadlock between front end and worker",
        Bar(detection=roles.STALL, restart=roles.STALL + roles.RESTART),
        Course.RESTARTED,
    ),
    _scenario(
        "chat-slow",
        "tokens come many times slower than usual",
        "a throttled GPU, a busy machine",
        Bar(failed=0),
        Course.UNDISTURBED,
    ),
    _scenario(
        "answer-empty",
        "every completion is answered 200 without text",
        "a broken checkpoint, which a restart does not change: the smoke tests find it",
        Bar(failed=0),
        Course.UNDISTURBED,
    ),
)
