"""The keeper's regular look at its engine, for what no event tells.

Deaths are told by pidfd and output by the loop; new processes, a port that was taken from the
engine, a load that makes no progress, and logs that grow have to be looked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from launcher.host.processes import OUR_LIMITS
from launcher.keeper import command_line
from launcher.keeper.failure import Failure
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.memory_killer import MemoryKiller
from launcher.keeper.notify import Notifier
from launcher.keeper.port_watch import PortWatch
from launcher.keeper.progress import Progress
from launcher.keeper.record import Record
from launcher.keeper.tree import Tree
from launcher.keeper.upkeep import bound_engine_logs
from launcher.keeper.vital import VitalProcesses
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan

LOADING_TICK = 1.0
"""Seconds between two looks for new processes while loading (they come and go)."""
READY_TICK = 5.0
"""The same when ready: only new processes need looking for."""
UPKEEP_TICKS = 12
"""Ready ticks between two looks at the size of the engine's own logs: once a minute."""


class Rounds:
    """One run's; nothing is looked at before `begin`."""

    def __init__(
        self,
        loop: Loop,
        plan: LaunchPlan,
        tree: Tree,
        record: Record,
        notifier: Notifier,
        *,
        fail: Callable[[Failure], None],
        on_command_lines: Callable[[Mapping[int, str]], None],
        lost_bytes: Callable[[], int],
    ) -> None:
        """`fail` hears of a stolen port and of no progress.

        `on_command_lines` gets those of all the tree's processes at each look; `lost_bytes` tells
        how much of the engine's output could not be written.
        """
        self.vital = VitalProcesses(plan.vital)
        self.memory_killer = MemoryKiller()
        self._loop, self._plan, self._tree, self._record = loop, plan, tree, record
        self._notifier, self._fail = notifier, fail
        self._on_command_lines, self._lost_bytes = on_command_lines, lost_bytes
        self._port_watch = PortWatch(plan.engine_ports)
        self._progress: Progress | None = None
        self._timer: Timer | None = None
        self._ticks = 0
        self._loss_told = self._limit_told = False

    def begin(self) -> None:
        """The engine was executed."""
        self._progress = Progress(self._plan.progress, self._plan.deadlines.no_progress)
        self._schedule()

    def note_progress(self) -> None:
        """A phase, a percent or a rung of the ladder is progress too."""
        if self._progress:
            self._progress.note()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def discover(self) -> dict[int, str]:
        """Take in what is new in the tree; returns the command lines of its processes."""
        processes = self._tree.discover()
        self._tree.refresh()
        lines = command_line.read_all(self._tree.processes)
        self.vital.look(self._tree.processes, lines)
        claimed = self._record.claims.look(self._tree.pids)
        if processes or claimed:
            self._record.dirty = True
        if self._record.state.state != InstanceState.READY and self._record.dirty:
            self._record.write()
        return lines

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loading = self._record.state.state == InstanceState.LOADING
        self._timer = self._loop.call_later(LOADING_TICK if loading else READY_TICK, self._on_tick)

    def look_now(self) -> None:
        """Look for processes before the next turn: something seems to be wrong with the server."""
        with self._our_limits_told():
            self._on_command_lines(self.discover())

    def _on_tick(self) -> None:
        with self._our_limits_told():
            self._look()
        self._schedule()

    @contextlib.contextmanager
    def _our_limits_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in OUR_LIMITS:
                raise
            if not self._limit_told:
                self._limit_told = True
                message = f"the engine's processes cannot be looked at: {error.strerror}"
                self._record.event("warning", message=message)

    def _look(self) -> None:
        self._ticks += 1
        self.memory_killer.look()
        lines = self.discover()
        self._on_command_lines(lines)
        state = self._record.state.state
        if state == InstanceState.LOADING and self._progress:
            self._look_at_load(self._progress, lines)
        if state == InstanceState.READY and self._ticks % UPKEEP_TICKS == 0:
            for message in bound_engine_logs(self._plan):
                self._record.event("warning", message=message)
        if self._lost_bytes() and not self._loss_told:
            self._loss_told = True
            self._record.event("warning", message="the engine's output is being lost: disk full?")
        if self._record.dirty:
            self._record.write()

    def _look_at_load(self, progress: Progress, lines: Mapping[int, str]) -> None:
        if self._notifier.active:
            # systemd's start time-out is in microseconds from now.
            self._notifier.send("EXTEND_TIMEOUT_USEC=30000000")
        thief = self._port_watch.look(self._tree.pids)
        if thief is not None:
            self._fail(Failure.from_rung(thief))
        processes = self._tree.processes
        if progress.stalled(processes, lines):
            self._fail(Failure.no_progress(self._plan, self._record.state, processes, lines))
