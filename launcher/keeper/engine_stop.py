"""Ends the engine's tree: the policy's signals first, then SIGKILL to whatever is left."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from launcher.errors import ExitCode
from launcher.keeper.cleanup import KILL_DEADLINE
from launcher.keeper.loop import Loop
from launcher.keeper.tree import Tree
from launcher.plan.model import StopPolicy, StopStage

KILL_ROUNDS = 2
"""Times, a second each, that what is left is killed one by one before `cgroup.kill` is used."""
SETTLE = 2.0
"""Seconds that the rest of the tree gets to go by itself after its first process has ended."""
HURRY = 0.2
"""Seconds for the same, and for each signal, where the engine has failed and a restart may follow.

The keeper removes what it would tidy up; FastDeploy takes up to 14 s for it, and clients wait.
"""

MARGIN = 50.0
"""Seconds beyond the sum of a plan's own deadlines: a busy host, and what is removed at the end."""


def longest_stop(policy: StopPolicy, drain: float | None) -> float:
    """Seconds until the last signal of a stop is sent and every process had time to go."""
    stages = (*policy.ready, *policy.loading)
    return sum(stage.wait for stage in stages) + (drain or 0.0) + KILL_DEADLINE


@dataclass
class StopRequest:
    """That an instance was asked to stop: why, and what follows from it; `drain` in seconds.

    `end` is the monotonic time at which the stop is over at the latest.
    """

    reason: str | None = None
    code: ExitCode = ExitCode.DONE
    drain: float | None = None
    end: float = 0.0

    @property
    def requested(self) -> bool:
        """True once it was asked."""
        return self.reason is not None

    def deadline(self) -> float:
        """Seconds from now in which the stop is over; never less than the margin."""
        return round(max(self.end - time.monotonic(), 0.0) + MARGIN, 3)


def stop_tree(
    loop: Loop,
    tree: Tree,
    main: int,
    policy: tuple[StopStage, ...],
    extra: Callable[[], float],
    tell: Callable[..., None],
    claim: Callable[[], None],
    kill_cgroup: Callable[[], bool] = lambda: False,
    *,
    hurry: bool = False,
) -> None:
    """Return once no process of the tree is left, or the last deadline has passed.

    `main` is the pid of the engine's first process, `extra` tells the seconds that are added to the
    first stage of the policy: another drain than the profile's, which may become shorter while it
    lasts. `tell` is called with an event's name and fields, `claim` before
    anything is killed and again at the end, to note what the tree leaves behind. `kill_cgroup` is
    called where SIGKILL to every known process did not end them: it is true where the kernel has
    ended all that is in the engine's own cgroup. With `hurry` no process gets longer than `HURRY`
    to end by itself.
    """
    longest = HURRY if hurry else math.inf
    for order, stage in enumerate(policy):
        if main not in tree.pids:
            break
        number = signal.Signals[stage.signal]
        tell("signal", signal=number.name, pid=main, target=stage.target)
        if stage.target == "group":
            tree.send_session(main, number)
        else:
            tree.send(main, number)
        # A stopped process (SIGSTOP) would otherwise never see the signal.
        if stage.target == "group":
            tree.send_session(main, signal.SIGCONT)
        else:
            tree.send(main, signal.SIGCONT)
        _wait_for_end(
            loop, tree, main, partial(_wait, stage, extra if order == 0 else None), longest
        )
    if main not in tree.pids:
        loop.run_until(lambda: not tree.processes, min(SETTLE, longest))
    claim()
    tree.discover()
    end, rounds = time.monotonic() + KILL_DEADLINE, 0
    while tree.processes and time.monotonic() < end:
        tell("kill", pids=tree.pids)
        tree.kill_all()
        rounds += 1
        if rounds > KILL_ROUNDS and kill_cgroup():
            tell("kill", cgroup=True)
        loop.run_until(lambda: not tree.processes, 1.0)
        tree.discover()
    claim()


def _wait(stage: StopStage, extra: Callable[[], float] | None) -> float:
    return stage.wait + (0.0 if extra is None else extra())


def _wait_for_end(
    loop: Loop, tree: Tree, main: int, seconds: Callable[[], float], longest: float
) -> None:
    """Until the first process has ended, or `seconds` have passed, which may become fewer."""
    began = time.monotonic()
    loop.run_until(
        lambda: main not in tree.pids or time.monotonic() >= began + seconds(),
        min(seconds(), longest),
    )
