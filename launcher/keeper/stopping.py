"""Ends the engine's tree: the policy's signals first, then SIGKILL to whatever is left."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.errors import ExitCode
from launcher.keeper.ending import KILL_DEADLINE
from launcher.keeper.loop import Loop
from launcher.keeper.tree import Tree
from launcher.plan.model import StopStage

SETTLE = 2.0
"""Seconds that the rest of the tree gets to go by itself after its first process has ended."""


@dataclass
class StopRequest:
    """That an instance was asked to stop: why, and what follows from it; `drain` in seconds."""

    reason: str | None = None
    code: ExitCode = ExitCode.DONE
    drain: float | None = None

    @property
    def requested(self) -> bool:
        """True once somebody did."""
        return self.reason is not None


def stop_tree(
    loop: Loop,
    tree: Tree,
    main: int,
    policy: tuple[StopStage, ...],
    extra: float,
    tell: Callable[..., None],
    claim: Callable[[], None],
) -> None:
    """Return once no process of the tree is left, or the last deadline has passed.

    `main` is the pid of the engine's first process, `extra` are seconds added to every stage of
    the policy (a longer drain). `tell` is called with an event's name and fields, `claim` before
    anything is killed and again at the end, to note what the tree leaves behind.
    """
    for stage in policy:
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
        loop.run_until(lambda: main not in tree.pids, stage.wait + extra)
    if main not in tree.pids:
        loop.run_until(lambda: not tree.processes, SETTLE)
    claim()
    tree.discover()
    end = time.monotonic() + KILL_DEADLINE
    while tree.processes and time.monotonic() < end:
        tell("kill", pids=tree.pids)
        tree.kill_all()
        loop.run_until(lambda: not tree.processes, 1.0)
        tree.discover()
    claim()
