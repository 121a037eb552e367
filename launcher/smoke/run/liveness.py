"""Stops a run that cannot end well: the server answers nothing at all, or the budget is used up.

A hang is told from slowness by a second question: where nothing has come for a while although
requests wait, a question of one token is asked beside them. A server that leaves that unanswered,
too, is not asked anything more. Long prompts and many requests at once may keep an honest server
silent, and a server with a single seat answers one request after the other: there only the time
limit of a request counts.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from launcher.json_values import JsonObject
from launcher.smoke.clients.base import CheckLog, Deadline, TransportError
from launcher.smoke.clients.plain import PlainClient
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.outcome import Finding, Outcome
from launcher.smoke.target import Target

LIVENESS_SECONDS = 30.0
"""How long a question of one token may stay unanswered (`smoke.liveness-timeout`)."""
BUDGET_SECONDS = 900.0
"""How long a whole run may take (`--budget`, `smoke.budget`)."""
FIRST_SILENCE = 5.0
"""Seconds without any answer since the start after which the question is asked."""
SILENCE = 15.0
"""The same later: a plain answer is silent while it is generated."""
LOOK_SECONDS = 1.0
WAITED_IN_VAIN = frozenset({"timeout", "stalled"})

Box = queue.SimpleQueue[Outcome | BaseException]


class Liveness:
    """Watches a run from beside it; every waiting check is told when the run is over."""

    def __init__(self, target: Target, transcript: Transcript, budget: float) -> None:
        """Watch the exchanges of `transcript`; `budget` is in seconds."""
        self.stopped: Literal["unresponsive", "budget"] | None = None
        self.reason = ""
        self.patient = False
        self._target = target
        self._transcript = transcript
        self._budget = budget
        self._end = time.monotonic() + budget
        self._boxes: set[Box] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs."""
        thread = threading.Thread(target=self._watch, name="liveness", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    @property
    def spared(self) -> Outcome:
        """The outcome of a check that is not begun because the run is over."""
        return Outcome("could not check", self.reason)

    @contextmanager
    def announce(self, box: Box) -> Iterator[None]:
        """Put an outcome into `box` if the run ends while the block waits for it."""
        with self._lock:
            self._boxes.add(box)
            if self.stopped:
                box.put(self._cut_short())
        try:
            yield
        finally:
            with self._lock:
                self._boxes.discard(box)

    def _cut_short(self) -> Outcome:
        if self.stopped == "budget":
            return self.spared
        finding = Finding("unresponsive", "an answer", self.reason)
        return Outcome("fail", self.reason, (finding,))

    def _end_run(self, kind: Literal["unresponsive", "budget"], reason: str) -> None:
        with self._lock:
            self.stopped, self.reason = kind, reason
            for box in self._boxes:
                box.put(self._cut_short())

    def _watch(self) -> None:
        progress = self._transcript.progress()
        since = time.monotonic()
        answered = False
        while not self._ended.wait(min(LOOK_SECONDS, max(0.01, self._end - time.monotonic()))):
            now = time.monotonic()
            if now >= self._end:
                message = f"the budget of {self._budget:g} s for the whole run is used up"
                self._end_run("budget", f"{message} (--budget or smoke.budget sets it)")
                return
            current = self._transcript.progress()
            if current != progress:
                progress, since, answered = current, now, True
            quiet = now - since
            if not self._suspicious(quiet, answered):
                continue
            if self._is_alive():
                progress, since, answered = self._transcript.progress(), time.monotonic(), True
            elif self._transcript.progress() == progress and not self._ended.is_set():
                quiet = time.monotonic() - since
                limit = self._limit
                self._end_run(
                    "unresponsive",
                    f"the server does not answer: no request got anything for {quiet:.0f} s, nor "
                    f"did a question of one token within {limit:.0f} s",
                )
                return

    def _suspicious(self, quiet: float, answered: bool) -> bool:
        if answered and (self.patient or self._target.max_num_seqs == 1):
            return False
        return quiet > (SILENCE if answered else FIRST_SILENCE) and self._transcript.waiting()

    @property
    def _limit(self) -> float:
        from launcher.smoke.section.limits import seconds

        timeout = self._target.smoke.get("liveness-timeout")
        return min(self._target.request_timeout, seconds(timeout) if timeout else LIVENESS_SECONDS)

    def _is_alive(self) -> bool:
        """Ask one token; whatever is said, an error included, is an answer."""
        box: queue.SimpleQueue[bool] = queue.SimpleQueue()
        limit = self._limit

        def ask() -> None:
            body: JsonObject = {
                "model": self._target.model,
                "messages": [{"role": "user", "content": "Hello!"}],
                "max_tokens": 1,
            }
            log = CheckLog(Transcript(self._target.secrets), "liveness")
            try:
                PlainClient().chat(self._target.endpoint, body, Deadline.after(limit), log)
            except TransportError as error:
                box.put(error.kind not in WAITED_IN_VAIN)
                return
            box.put(True)

        threading.Thread(target=ask, name="liveness-question", daemon=True).start()
        end = time.monotonic() + min(limit, max(0.0, self._end - time.monotonic()))
        before = self._transcript.progress()
        while True:
            try:
                return box.get(timeout=min(LOOK_SECONDS, max(0.01, end - time.monotonic())))
            except queue.Empty:
                if self._ended.is_set() or self._transcript.progress() != before:
                    return True
                if time.monotonic() >= end:
                    return False
