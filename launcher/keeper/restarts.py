"""What one keeper remembers of its restarts, and the decision after each failure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from launcher.errors import ExitCode
from launcher.keeper.engine_stop import StopRequest
from launcher.keeper.failure import Failure
from launcher.keeper.restart_policy import GiveUp, History, RunEnd, StartAgain, decide
from launcher.plan.restart import RestartPolicy


class Restarts:
    """Counts runs, the time they load, and the restarts that the policy still counts."""

    def __init__(
        self,
        policy: RestartPolicy,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """No run yet; `clock` gives seconds, `draw` a random number from 0 to 1."""
        self.policy = policy
        self._clock = clock
        self._draw = draw
        self._history = History()
        self._is_first = True
        self._loading = 0.0
        self._began = self._ready = 0.0
        self._is_loading = self._was_ready = False

    def begin(self) -> None:
        """An engine is about to be started."""
        self._began = self._clock()
        self._is_loading, self._was_ready = True, False

    def ready(self) -> None:
        """It is ready."""
        self._ready = self._clock()
        self._loading += self._ready - self._began
        self._is_loading, self._was_ready = False, True

    def decide(self, stop: StopRequest, failure: Failure | None) -> StartAgain | GiveUp | None:
        """What follows the run that ended; None where it was stopped on request."""
        now = self._clock()
        if self._is_loading:
            self._loading += now - self._began
            self._is_loading = False
        was_ready, self._was_ready = self._was_ready, False
        if failure is None or stop.requested or failure.exit_code is ExitCode.DEFECT:
            return None
        end = RunEnd(
            first=self._is_first,
            was_ready=was_ready,
            ready_seconds=now - self._ready if was_ready else 0.0,
            retry=failure.retry is not False,
        )
        decision = decide(self.policy, self._history, end, now - self._loading, self._draw)
        if isinstance(decision, StartAgain):
            self._history = decision.history
            self._is_first = False
        return decision
