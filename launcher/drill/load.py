"""A small load of the drill's own: each request is answered, fails, or hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.drill.payloads import RequestCounts
from launcher.plan.model import LaunchPlan
from launcher.probe.readiness import generated
from launcher.probe.request import ask

PAUSE = 0.05
"""Seconds between two requests of one client."""
BACKOFF = 0.25
"""Seconds a client waits after a failure, as clients do: an outage is not a flood."""
DEADLINE = 75.0
"""Seconds until a request counts as hung: more than a stall may take to be seen."""


@dataclass(frozen=True)
class _Ended:
    at: float
    seconds: float
    outcome: str


class Load:
    """Client threads that ask the instance for short completions until they are stopped."""

    def __init__(
        self, plan: LaunchPlan, key: str | None, clients: int, deadline: float = DEADLINE
    ) -> None:
        """Nothing is sent before `start`."""
        self._plan = plan
        self._key = key
        self._deadline = deadline
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._ended: list[_Ended] = []
        self._running = 0
        self._threads = [
            threading.Thread(target=self._run, name=f"drill client {n}", daemon=True)
            for n in range(clients)
        ]

    def start(self) -> None:
        """Let every client begin."""
        for thread in self._threads:
            thread.start()

    def wait_for_answer(self, since: float, timeout: float) -> bool:
        """Whether a request that ended at or after `since` (Unix seconds) was answered."""

        def answered() -> bool:
            return any(one.at >= since and one.outcome == "answered" for one in self._ended)

        return not self._threads or self._wait(answered, timeout)

    def stop(self, timeout: float) -> None:
        """Begin no further request; wait up to `timeout` seconds for those that run."""
        self._stop.set()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def counts(self, since: float) -> RequestCounts:
        """What became of the requests that ended at or after `since`; those that run still hang."""
        with self._changed:
            ended = [one for one in self._ended if one.at >= since]
            running = self._running
        number = {
            word: sum(one.outcome == word for one in ended)
            for word in ("answered", "empty", "failed", "hung")
        }
        number["hung"] += running
        longest = max((one.seconds for one in ended), default=0.0)
        return RequestCounts(**number, longest=round(longest, 3))

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                self._running += 1
            begun = time.monotonic()
            outcome = self._ask()
            ended = _Ended(time.time(), time.monotonic() - begun, outcome)
            with self._changed:
                self._running -= 1
                self._ended.append(ended)
                self._changed.notify_all()
            self._stop.wait(BACKOFF if outcome == "failed" else PAUSE)

    def _ask(self) -> str:
        readiness = self._plan.readiness
        try:
            answer = ask(
                readiness.address, self._plan.port(readiness.port).number,
                readiness.completion_path, body=readiness.completion, key=self._key,
                timeout=self._deadline,
            )  # fmt: skip
        except TimeoutError:
            return "hung"
        except OSError:
            return "failed"
        if answer.status != 200:
            return "failed"
        return "answered" if generated(answer.body).strip() else "empty"
