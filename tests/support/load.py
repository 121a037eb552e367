"""Constant load on a server, and what became of every request."""

import http.client
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.decoded import JsonDict

_END = re.compile(rb'\[DONE\]|"finish_reason": ?"[a-z]')
"""How a stream says that it is whole; transformers sends no `[DONE]`."""


@dataclass
class Tally:
    """What became of the requests.

    `failed`: no answer with status 200 began. `cut`: one began and did not come to its end.
    """

    completed: int = 0
    failed: int = 0
    cut: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.completed + self.failed + self.cut

    def text(self) -> str:
        """One line for a report."""
        return (
            f"{self.requests} requests, {self.failed} failed, {self.cut} cut {dict(self.reasons)}"
        )


class Load:
    """Clients that stream completions one after the other until they are told to stop."""

    def __init__(
        self,
        port: int,
        clients: int = 8,
        body: JsonDict | None = None,
        *,
        pause: float = 0.0,
        size: int = 0,
        key: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """`pause` in seconds between two requests of a client; `size` bytes more in each body.

        With `key` each request has it.
        """
        self.tally = Tally()
        self._port = port
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._body = json.dumps(
            body
            or {
                "model": "tiny",
                "messages": [{"role": "user", "content": "Hello!" + "x" * size}],
                "max_tokens": 20,
                "stream": True,
            }
        ).encode()
        self._pause = pause
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"client {n}", daemon=True)
            for n in range(clients)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> Tally:
        """Let every client finish its request; returns what became of all."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.tally

    def wait_for(self, count: int, also: Callable[[], bool] = lambda: True) -> None:
        """Return once `count` more requests have ended."""
        end = time.monotonic() + 300
        goal = self.tally.requests + count
        while self.tally.requests < goal or not also():
            if time.monotonic() > end:
                raise AssertionError(f"no progress: {self.tally.text()}")
            time.sleep(0.02)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._one()
            if self._pause:
                self._stop.wait(self._pause)

    def _one(self) -> None:
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        started = False
        try:
            connection.request("POST", "/v1/chat/completions", self._body, self._headers)
            response = connection.getresponse()
            if response.status != 200:
                self._count("failed", f"HTTP {response.status}")
                response.read()
                return
            started = True
            text = response.read()
            streamed = response.headers.get("Content-Type", "").startswith("text/event-stream")
            if streamed and not _END.search(text, max(0, len(text) - 2000)):
                self._count("cut", "no end of the stream")
                return
            with self._lock:
                self.tally.completed += 1
                self.tally.latencies.append(time.monotonic() - begun)
        except (OSError, http.client.HTTPException) as error:
            self._count("cut" if started else "failed", type(error).__name__)
        finally:
            connection.close()

    def _count(self, kind: str, reason: str) -> None:
        with self._lock:
            setattr(self.tally, kind, getattr(self.tally, kind) + 1)
            self.tally.reasons[f"{kind}: {reason}"] += 1
