"""The API port taken by another process between the end of an engine and its restart."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.drill.bar import Bar
from launcher.drill.scenario import Fault, Scenario, Stage
from launcher.drill.scenarios import roles
from launcher.drill.subject import Subject
from launcher.keeper.state import State

TAKEN_FOR = 3.0
"""Seconds for which the port is held."""
FREE_WITHIN = 60.0
"""Seconds until the dying engine has let go of the port."""
POLL = 0.001


@contextmanager
def _inject(stage: Stage) -> Iterator[Fault]:
    subject = stage.subject
    use = subject.plan.port(subject.plan.readiness.port)
    family = socket.AF_INET6 if ":" in use.address else socket.AF_INET
    fault = roles.kill_role(subject, stage.state, Subject.main)
    with socket.socket(family) as thief:
        # As servers do: connections of the old engine in TIME_WAIT do not count.
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _bind(thief, use.address, use.number):
            thief.listen()
        else:
            fault.note = "the port could not be taken: the engine was faster"
        yield fault
        time.sleep(TAKEN_FOR)
    fault.cleared_at = time.time()


def _bind(thief: socket.socket, address: str, port: int) -> bool:
    end = time.monotonic() + FREE_WITHIN
    while time.monotonic() < end:
        try:
            thief.bind((address, port))
        except OSError:
            time.sleep(POLL)
            continue
        return True
    return False


def _no_restart(subject: Subject, state: State) -> str | None:
    return None if subject.restarts else "`restart.policy` is `never`: nothing opens the port again"


SCENARIOS = (
    Scenario(
        "port-taken",
        "kill -9 of the first process; another process holds the API port for 3 s",
        "a port that another program takes during a restart",
        # Each attempt while the port is taken is a failure of its own, and no false one.
        Bar(detection=roles.DEATH, restart=roles.RESTART, false_verdicts=None),
        _inject,
        obstacle=_no_restart,
    ),
)
