"""Whether a ready server has failed of which a line of its log says so: it is asked itself.

A server's log quotes what clients sent, in errors too (`The model ... does not exist`): any client
could write the text of any failure, and would end a server that works. So a line is a reason to
look. A death that is seen meanwhile confirms it, and so does a server that does not answer well;
one that does goes on. One that is slow is the liveness watch's to judge.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

from launcher.keeper.failure import Failure
from launcher.keeper.loop import Loop
from launcher.plan.model import LaunchPlan
from launcher.probe.readiness import Rung, completion, plan_health

WATCHED = 3.0
"""Seconds for which its health has to stay good: what has failed may take a moment to show it."""
PAUSE = 0.25
"""Seconds between two questions."""
TWICE = 2
"""One bad answer may be chance, on a busy machine or of a full queue; so many in a row are not."""
QUESTION = 5.0
"""Seconds in which its health has to be told."""
REST = 60.0
"""Seconds after an unfounded line in which no other one is looked into: they may come by thousands.

What really fails meanwhile is seen as any failure is that no line tells: a death, or a stall."""


class SecondOpinion:
    """Calls `fail` with a failure that proved true, `unfounded` with one that did not."""

    def __init__(
        self,
        loop: Loop,
        plan: LaunchPlan,
        secret: str | None,
        fail: Callable[[Failure], None],
        unfounded: Callable[[Failure], None],
    ) -> None:
        """`secret` is the server's API key."""
        self.pending: Failure | None = None
        """What a line says and is not decided yet: a death confirms it."""
        self._loop, self._plan, self._secret = loop, plan, secret
        self._fail, self._unfounded = fail, unfounded
        self._closed = threading.Event()
        self._rests_until = 0.0

    def ask(self, failure: Failure) -> None:
        """Find out whether `failure`, which a line tells, is one."""
        if self.pending is not None or self._closed.is_set():
            return
        if time.monotonic() < self._rests_until:
            return
        self.pending = failure
        threading.Thread(target=self._work, name="second-opinion", daemon=True).start()

    def close(self) -> None:
        """Ask no more; an answer that is still to come is not listened to."""
        self._closed.set()

    def _work(self) -> None:
        try:
            is_well = self._is_well()
        except Exception:  # a defect of ours does not speak against the server
            traceback.print_exc()
            is_well = True
        self._loop.call_soon(lambda: self._heard(is_well))

    def _is_well(self) -> bool:
        end, bad = time.monotonic() + WATCHED, 0
        while time.monotonic() < end or bad:
            bad = 0 if plan_health(self._plan, QUESTION).verdict == "passed" else bad + 1
            if bad == TWICE:
                return False
            if self._closed.wait(PAUSE):
                return True
        for _ in range(TWICE if self._plan.readiness.completion else 0):
            if not _is_broken(completion(self._plan, self._secret)):
                return True
            if self._closed.wait(PAUSE):
                return True
        return not self._plan.readiness.completion

    def _heard(self, is_well: bool) -> None:
        failure, self.pending = self.pending, None
        if failure is None or self._closed.is_set():
            return
        if is_well:
            self._rests_until = time.monotonic() + REST
            self._unfounded(failure)
        else:
            self._fail(failure)


def _is_broken(rung: Rung) -> bool:
    """True for a completion that failed; a slow one, and a refusal, do not speak against it."""
    status = rung.evidence.get("status")
    refused = isinstance(status, int) and 400 <= status < 500
    return rung.verdict != "passed" and rung.code != "completion-timeout" and not refused
