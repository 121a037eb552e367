"""kill -9 of the engine's first process, of its worker, of the keeper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from launcher.drill.bar import Bar
from launcher.drill.scenario import Course, Fault, Scenario, Stage
from launcher.drill.scenarios import roles
from launcher.drill.subject import Subject


def _kill(role: roles.Role) -> Callable[[Stage], AbstractContextManager[Fault]]:
    @contextmanager
    def inject(stage: Stage) -> Iterator[Fault]:
        yield roles.kill_role(stage.subject, stage.state, role)

    return inject


SCENARIOS = (
    Scenario(
        "kill-main",
        "kill -9 of the engine's first process",
        "a crash of the front end",
        Bar(detection=roles.DEATH, restart=roles.RESTART),
        _kill(Subject.main),
    ),
    Scenario(
        "kill-worker",
        "kill -9 of a worker",
        "a CUDA error, a crash in a kernel",
        Bar(detection=roles.DEATH, restart=roles.RESTART),
        _kill(Subject.worker),
        obstacle=roles.no_worker,
    ),
    Scenario(
        "kill-keeper",
        "kill -9 of the keeper, then `up`",
        "the kernel's memory killer, an operator's mistake",
        # The guard lets the engine end by SIGTERM, which takes FastDeploy up to 14 s.
        Bar(detection=0.5, restart=20.0),
        _kill(Subject.keeper),
        Course.STARTED_ANEW,
        obstacle=roles.kept_by_a_supervisor,
    ),
)
