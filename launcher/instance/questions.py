"""The keepers of many instances, each asked for its state before the one before it has answered.

A keeper needs a moment until the kernel lets it run. Asked one after the other, fifty of them cost
fifty such moments; asked by fifty threads, these wait for each other.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject
from launcher.keeper.control import Client

AHEAD = 32
"""Keepers that are asked before the first answer is read: each takes a descriptor of ours."""


class Question:
    """`status`, put to the keeper of one instance."""

    def __init__(self, instance: InstanceDir, timeout: float) -> None:
        """Ask; it has `timeout` seconds from now on to answer. What goes wrong is raised later."""
        self._end = time.monotonic() + timeout
        self._folder = instance.folder
        self._client: Client | None = None
        self._error: OSError | None = None
        try:
            # Not waited for: where its queue of clients is full it is tried again in `answer`.
            self._client = Client(instance.folder, 0.0)
            self._client.send("status")
        except OSError as error:
            self._error = error

    def answer(self) -> JsonObject:
        """What the keeper answered.

        Raises:
            OSError: it does not answer.
            ValueError: the answer cannot be read.
        """
        left = max(0.001, self._end - time.monotonic())
        if isinstance(self._error, (TimeoutError, BlockingIOError)):
            self.close()
            self._client = Client(self._folder, left)
            return self._client.request("status")
        if self._error is not None or self._client is None:
            raise self._error or ConnectionError("the connection is closed")
        return self._client.receive(left)

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
            self._client = None


@dataclass(frozen=True)
class Asked:
    """An instance, its place among all, and the question to its keeper."""

    index: int
    instance: InstanceDir
    question: Question


class Questions:
    """All instances in their order; may be taken by several threads."""

    def __init__(self, instances: Sequence[InstanceDir], timeout: float) -> None:
        """Nothing is asked yet; each keeper gets `timeout` seconds."""
        self._timeout = timeout
        self._waiting = collections.deque(enumerate(instances))
        self._asked: collections.deque[Asked] = collections.deque()
        self._lock = threading.Lock()

    @property
    def left(self) -> bool:
        """Whether there is one that nothing has taken."""
        return bool(self._waiting or self._asked)

    def take(self) -> Asked | None:
        """The next instance; None after the last. Its question has to be closed."""
        with self._lock:
            while self._waiting and len(self._asked) < AHEAD:
                index, instance = self._waiting.popleft()
                self._asked.append(Asked(index, instance, Question(instance, self._timeout)))
            return self._asked.popleft() if self._asked else None
