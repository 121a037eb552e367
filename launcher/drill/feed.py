"""What the keeper tells, as it tells it: its events, and the end of the keeper itself."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launcher.json_values import JsonObject, number_at
from launcher.keeper.control import Client

GONE = "keeper-gone"
"""Event of our own: the keeper has closed its socket."""
RECONNECT = 0.05
"""Seconds between two tries to reach a keeper; there may be none for a while."""

Condition = Callable[[JsonObject], bool]


class Feed:
    """All events of an instance from now on, received by a thread; close it."""

    def __init__(self, folder: Path) -> None:
        """Begin to follow the keeper of `folder`, and each one that comes after it."""
        self._folder = folder
        self._events: list[JsonObject] = []
        self._changed = threading.Condition()
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="drill feed", daemon=True)
        self._thread.start()

    def since(self, moment: float) -> list[JsonObject]:
        """The events at or after `moment` (Unix seconds)."""
        with self._changed:
            # Events carry milliseconds.
            return [one for one in self._events if time_of(one) >= moment - 0.001]

    def wait(self, condition: Condition, since: float, timeout: float) -> JsonObject | None:
        """The first event at or after `since` that meets `condition`; None after `timeout` s."""
        end = time.monotonic() + timeout
        with self._changed:
            count = 0
            while True:
                for event in self._events[count:]:
                    if time_of(event) >= since - 0.001 and condition(event):
                        return event
                count = len(self._events)
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def close(self) -> None:
        """Stop following."""
        self._closed = True
        os.write(self._write, b"\0")
        self._thread.join()
        os.close(self._read)
        os.close(self._write)

    def _run(self) -> None:
        while not self._closed:
            try:
                client = Client(self._folder)
            except OSError:
                time.sleep(RECONNECT)
                continue
            try:
                self._follow(client)
            except OSError:
                continue
            finally:
                client.close()

    def _follow(self, client: Client) -> None:
        client.request("follow")
        for event in client.events(wake=self._read):
            if event is None:
                return
            self._append(event)
        self._append({"event": GONE, "time": time.time()})

    def _append(self, event: JsonObject) -> None:
        with self._changed:
            # A keeper begins with the past, which may be known.
            if not self._events or event not in self._events[-200:]:
                self._events.append(event)
                self._changed.notify_all()


def time_of(event: JsonObject) -> float:
    """When an event happened, in Unix seconds."""
    return number_at(event, "time") or 0.0
