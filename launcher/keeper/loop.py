"""A small event loop: file descriptors, timers, and waiting with a deadline.

One thread owns all state. Other threads hand work over with `call_soon`.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import itertools
import os
import selectors
import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

Callback = Callable[[], None]
T = TypeVar("T")

LONGEST_WAIT = 3600.0
"""Seconds of one wait; epoll counts milliseconds in 32 bits, deadlines may be longer."""


class Timer:
    """A pending call; `cancel` makes it a no-op."""

    def __init__(self, callback: Callback) -> None:
        """Remember what to call."""
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call it."""
        self.callback = None


class Outcome(Generic[T]):
    """What work gave or raised in one thread, for another one to take."""

    def __init__(self) -> None:
        """Not known yet."""
        self._results: list[T] = []
        self._errors: list[BaseException] = []

    @property
    def known(self) -> bool:
        """True once the work is over."""
        return bool(self._results or self._errors)

    def of(self, work: Callable[[], T]) -> None:
        """Do `work` here, and raise nothing."""
        try:
            self._results.append(work())
        except BaseException as error:  # it is raised where it is taken
            self._errors.append(error)

    def take(self) -> T:
        """What the work gave; raises what it raised."""
        for error in self._errors:
            raise error
        return self._results[0]


class Loop:
    """See the module's docstring. Times are `time.monotonic` seconds."""

    def __init__(self) -> None:
        """An empty loop; its descriptors are closed with the last reference to it."""
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._handed: collections.deque[Callback] = collections.deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.add_reader(self._wake_read, self._drain_wake)
        # The selector closes its own; held here, it would hold the loop by its callbacks.
        ending = weakref.finalize(self, _close, self._wake_read, self._wake_write)
        ending.atexit = False  # a signal may still write into the pipe

    @property
    def wake_descriptor(self) -> int:
        """Writing a byte here ends a wait; for `signal.set_wakeup_fd`."""
        return self._wake_write

    def add_reader(self, descriptor: int, callback: Callback) -> None:
        """Call `callback` whenever `descriptor` can be read."""
        self._watch(descriptor, selectors.EVENT_READ, callback)

    def remove_reader(self, descriptor: int) -> None:
        """Stop watching `descriptor` for input; it is not closed."""
        self._watch(descriptor, selectors.EVENT_READ, None)

    def add_writer(self, descriptor: int, callback: Callback) -> None:
        """Call `callback` whenever `descriptor` can be written."""
        self._watch(descriptor, selectors.EVENT_WRITE, callback)

    def remove_writer(self, descriptor: int) -> None:
        """Stop watching `descriptor` for room; it is not closed."""
        self._watch(descriptor, selectors.EVENT_WRITE, None)

    def _watch(self, descriptor: int, event: int, callback: Callback | None) -> None:
        callbacks: dict[int, Callback] = {}
        with contextlib.suppress(KeyError, ValueError):
            callbacks = dict(self._selector.get_key(descriptor).data)
            self._selector.unregister(descriptor)
        if callback is None:
            callbacks.pop(event, None)
        else:
            callbacks[event] = callback
        if callbacks:
            self._selector.register(descriptor, sum(callbacks), callbacks)

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        """Call `callback` once, `seconds` from now."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def call_soon(self, callback: Callback) -> None:
        """Call `callback` from the loop's thread; may be called by any thread."""
        self._handed.append(callback)
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def run_until(self, done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Handle events until `done()` or until `timeout` seconds have passed; say which."""
        end = None if timeout is None else time.monotonic() + timeout
        while not done():
            now = time.monotonic()
            if end is not None and now >= end:
                return False
            self._once(end)
        return True

    def run_in_thread(self, work: Callable[[], T]) -> T:
        """The result of `work`, done in a thread as it takes long; events are handled meanwhile.

        Where no thread can be started, `work` is done here. What it raises is raised.
        """
        outcome: Outcome[T] = Outcome()

        def run() -> None:
            outcome.of(work)
            self.call_soon(nothing)

        thread = threading.Thread(target=run, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the limit of threads is reached
            return work()
        self.run_until(lambda: outcome.known)
        thread.join()
        return outcome.take()

    def _once(self, end: float | None) -> None:
        waits = [deadline for deadline in (end, self._next_timer()) if deadline is not None]
        wait = max(0.0, min(waits) - time.monotonic()) if waits else None
        if wait is not None:
            wait = min(wait, LONGEST_WAIT)
        if self._handed:
            wait = 0.0
        for key, events in self._selector.select(wait):
            for event in (selectors.EVENT_READ, selectors.EVENT_WRITE):
                # An earlier callback of this round may have closed it, or stopped watching it.
                watched = self._selector.get_map().get(key.fileobj)
                if events & event and watched is not None and event in watched.data:
                    watched.data[event]()
        # Only what is here now: a callback that hands itself over again must not starve timers.
        for _ in range(len(self._handed)):
            self._handed.popleft()()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()

    def _next_timer(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass


def nothing() -> None:
    """Only to wake the loop."""


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
