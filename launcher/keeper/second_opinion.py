"""Whether a server has failed of which a line of its log says so: it is asked itself.

A server's log quotes what clients sent, in errors too (`The model ... does not exist`): any client
could write the text of any failure, and would end a server that works. So a line is a reason to
look. A death that is seen meanwhile confirms it, and so does a server that does not answer well;
one that does goes on. One that is slow or paused is the liveness watch's to judge.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Literal

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

Answer = Literal["well", "failed", "unknown"]


class SecondOpinion:
    """Calls `fail` with a failure that proved true, `unfounded` with one that did not."""

    def __init__(
        self,
        loop: Loop,
        plan: LaunchPlan,
        secret: str | None,
        fail: Callable[[Failure], None],
        unfounded: Callable[[Failure, bool], None],
    ) -> None:
        """`secret` is the server's API key; `unfounded` is told whether the server answered."""
        self._loop, self._plan, self._secret = loop, plan, secret
        self._fail, self._unfounded = fail, unfounded
        self._closed = threading.Event()
        self._told: Failure | None = None
        self._told_until = 0.0
        self._asking = False
        self._rests_until = 0.0

    @property
    def told(self) -> Failure | None:
        """What a line has said and is not refuted: a death that is seen now confirms it."""
        return self._told if self._asking or time.monotonic() < self._told_until else None

    def ask(self, failure: Failure) -> None:
        """Find out whether `failure`, which a line tells, is one."""
        if self._asking or self._closed.is_set():
            return
        now = time.monotonic()
        if self.told is None:
            self._told, self._told_until = failure, now + WATCHED
        if now < self._rests_until:
            return
        self._told = failure
        try:
            threading.Thread(
                target=self._work, args=(failure,), name="second-opinion", daemon=True
            ).start()
        except RuntimeError:  # the limit of threads is reached, which is no reason to end a server
            self._rests_until = now + REST
            return
        self._asking = True

    def close(self) -> None:
        """Ask no more; an answer that is still to come is not listened to."""
        self._closed.set()

    def _work(self, failure: Failure) -> None:
        try:
            answer = self._ask_health() or self._ask_completion()
        except Exception:  # a defect of ours does not speak against the server
            traceback.print_exc()
            answer = "unknown"
        self._loop.call_soon(lambda: self._heard(failure, answer))

    def _ask_health(self) -> Answer | None:
        """None where it is good all the time."""
        paused = self._plan.liveness.paused_statuses if self._plan.liveness else ()
        end, bad = time.monotonic() + WATCHED, 0
        while time.monotonic() < end or bad:
            rung = plan_health(self._plan, QUESTION)
            if rung.evidence.get("timed_out") or rung.evidence.get("status") in paused:
                return "unknown"
            bad = 0 if rung.verdict == "passed" else bad + 1
            if bad == TWICE:
                return "failed"
            if self._closed.wait(PAUSE):
                return "unknown"
        return None

    def _ask_completion(self) -> Answer:
        if not self._plan.readiness.completion:
            return "well"
        for _ in range(TWICE):
            rung = completion(self._plan, self._secret)
            if rung.verdict == "passed":
                return "well"
            if not _is_broken(rung) or self._closed.wait(PAUSE):
                return "unknown"
        return "failed"

    def _heard(self, failure: Failure, answer: Answer) -> None:
        self._asking = False
        if self._closed.is_set():
            return
        if answer == "failed":
            self._fail(failure)
            return
        now = time.monotonic()
        self._rests_until = now + REST
        self._told_until = now if answer == "well" else now + REST
        self._unfounded(failure, answer == "well")


def _is_broken(rung: Rung) -> bool:
    """True for a completion that failed; a slow one, and a refusal, do not speak against it."""
    status = rung.evidence.get("status")
    refused = isinstance(status, int) and 400 <= status < 500
    return rung.code != "completion-timeout" and not refused
