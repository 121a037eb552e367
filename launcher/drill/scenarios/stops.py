"""SIGSTOP of the front end, of a worker, of the keeper: alive for the kernel, dead for clients."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from launcher.drill.bar import Bar
from launcher.drill.scenario import Course, Fault, Scenario, Stage
from launcher.drill.scenarios import roles
from launcher.drill.subject import Subject
from launcher.drill.undo import Continue, undone
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.state import State

Roles = Callable[[Subject, State], tuple[ProcessClaim, ...]]


def _stop(whom: Roles) -> Callable[[Stage], AbstractContextManager[Fault]]:
    @contextmanager
    def inject(stage: Stage) -> Iterator[Fault]:
        with ExitStack() as stack:
            fault = Fault()
            for claim in whom(stage.subject, stage.state):
                stack.enter_context(undone(stage.undo, Continue(claim.pid, claim.start)))
                moment = roles.signal_role(
                    stage.subject, stage.state, lambda *_, one=claim: one, signal.SIGSTOP
                )
                fault.at = fault.at or moment
            yield fault

    return inject


def _worker(subject: Subject, state: State) -> tuple[ProcessClaim, ...]:
    worker = subject.worker(state)
    return (worker,) if worker is not None else ()


def _keeper(subject: Subject, state: State) -> tuple[ProcessClaim, ...]:
    keeper = subject.keeper(state)
    return (keeper,) if keeper is not None else ()


SCENARIOS = (
    Scenario(
        "stop-front-end",
        "SIGSTOP of the first process and of those that hold the API port",
        "a deadlock of the front end",
        Bar(detection=roles.STALL, restart=roles.STALL + roles.RESTART),
        _stop(Subject.front_end),
    ),
    Scenario(
        "stop-worker",
        "SIGSTOP of a worker",
        "a GPU kernel or a collective that hangs",
        Bar(detection=roles.STALL, restart=roles.STALL + roles.RESTART),
        _stop(_worker),
        obstacle=roles.no_worker,
    ),
    Scenario(
        "stop-keeper",
        "SIGSTOP of the keeper for 15 s, then SIGCONT",
        "a suspended machine, a keeper that gets no processor",
        Bar(failed=0),
        _stop(_keeper),
        Course.UNDISTURBED,
        obstacle=roles.kept_by_a_supervisor,
        watched_after=8.0,  # a sample is taken every 5 s
    ),
)
