"""SIGTERM that ernie-deploy did not send: to a server with requests, and to one that loads."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.drill.bar import Bar
from launcher.drill.scenario import Fault, Scenario, Stage
from launcher.drill.scenarios import roles
from launcher.drill.subject import Subject
from launcher.errors import PreconditionError
from launcher.json_values import text_at
from launcher.keeper.state import State
from launcher.lifecycle import InstanceState

LOADING_WAIT = 60.0
"""Seconds until the engine is started again after the kill that comes first."""
INTO_THE_LOAD = 0.2
"""Seconds after the start of the load at which the signal comes."""


@contextmanager
def _ready(stage: Stage) -> Iterator[Fault]:
    yield Fault(roles.signal_role(stage.subject, stage.state, Subject.main, signal.SIGTERM))


@contextmanager
def _loading(stage: Stage) -> Iterator[Fault]:
    killed = roles.signal_role(stage.subject, stage.state, Subject.main, signal.SIGKILL)
    loading = stage.feed.wait(
        lambda event: text_at(event, "state") == InstanceState.LOADING, killed, LOADING_WAIT
    )
    if loading is None:
        instance = stage.subject.instance
        raise PreconditionError.of(
            "instance-not-ready", f"{instance.name} was not started again after a kill -9",
            str(instance.folder),
        )  # fmt: skip
    time.sleep(INTO_THE_LOAD)
    yield Fault(
        roles.signal_role(stage.subject, stage.subject.state(), Subject.main, signal.SIGTERM)
    )


def _no_restart(subject: Subject, state: State) -> str | None:
    return None if subject.restarts else "`restart.policy` is `never`: it does not load again"


SCENARIOS = (
    Scenario(
        "term-ready",
        "SIGTERM to the engine's first process while requests run",
        "an operator or a script that stops the wrong process",
        # A server that was told to stop ends as it likes: FastDeploy takes up to 14 s.
        Bar(detection=2.0, restart=20.0),
        _ready,
    ),
    Scenario(
        "term-loading",
        "SIGTERM to the engine's first process while it loads",
        "the same during a start: FastDeploy leaves its workers behind",
        Bar(detection=2.0, restart=20.0),
        _loading,
        obstacle=_no_restart,
    ),
)
