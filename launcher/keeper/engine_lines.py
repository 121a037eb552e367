"""What the engine's lines tell: the phase of its load, a failure, that it was asked to stop."""

from __future__ import annotations

from collections.abc import Callable

from launcher.keeper.failure import Failure
from launcher.keeper.notify import Notifier
from launcher.keeper.record import Record
from launcher.keeper.watch import Watcher
from launcher.lifecycle import RUNNING, InstanceState
from launcher.plan.model import LaunchPlan


class EngineLines:
    """Takes the lines of one run, each read by the plan's rules."""

    def __init__(
        self,
        watcher: Watcher,
        record: Record,
        plan: LaunchPlan,
        notifier: Notifier,
        fail: Callable[[Failure], None],
        doubt: Callable[[Failure], None],
        noted: Callable[[], None],
        has_failed: Callable[[], bool],
    ) -> None:
        """`fail` is called with what a line of the load decides, `noted` at a sign of progress.

        `doubt` is called with what a line says of a server that listens: it quotes its clients.
        """
        self._watcher = watcher
        self._record = record
        self._state = record.state
        self._plan = plan
        self._notifier = notifier
        self._fail = fail
        self._doubt = doubt
        self._noted = noted
        self._has_failed = has_failed
        self.told: tuple[str, str] | None = None
        """After a failure: the signal and the line by which the engine says it was told to stop."""

    def take(self, source: str, file: str, text: str, final: bool) -> None:
        """One line, or the beginning of one that is not `final`."""
        if self._state.state == InstanceState.LOADING:
            phase_match = self._watcher.phase_of(source, text)
            if phase_match is not None:
                self._noted()
                self.phase(phase_match.phase, phase_match.percent)
        if not final:
            return
        if self._has_failed():
            self._note_told(source, text)
        elif self._state.state in RUNNING:
            # Once its port is open, clients may ask, and what they sent may stand in the line.
            tell = self._doubt if self._state.evidence else self._fail
            failure = self._watcher.failure_of(self._state.state, source, file, text)
            if failure is not None:
                tell(Failure.from_line(failure, self._state.state))
            stop_signal = self._watcher.asked_to_stop(source, text)
            if stop_signal is not None:
                tell(Failure.from_stranger(stop_signal, text, self._state.state))

    def _note_told(self, source: str, text: str) -> None:
        if self.told is None and (name := self._watcher.asked_to_stop(source, text)) is not None:
            self.told = name, text

    def overwhelmed(self) -> None:
        """Tell once that not every line is read any more."""
        self._record.event(
            "warning",
            message="the engine writes faster than its lines can be looked at: its output is"
            " recorded in full, but for phases and failures only the newest lines are read,"
            " those that speak of errors first",
        )

    def phase(self, phase: str, percent: float | None) -> None:
        """Enter a phase of the load, or go on in it."""
        is_new = phase != self._state.phase
        self._state.phase, self._state.percent = phase, percent
        self._record.dirty = True
        title = next((p.title for p in self._plan.phases if p.name == phase), phase)
        self._record.event("phase", phase=phase, title=title, percent=percent, new=is_new)
        if self._notifier.active:
            self._notifier.send(f"STATUS={title}")
