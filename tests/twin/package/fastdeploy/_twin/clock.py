"""Scaled time, and the lifetime after which every process of the twin ends by itself.

Every duration that was measured on the real server is written in real seconds in the code and
multiplied by ``TWIN_TIME_SCALE``. Start and deadline travel in the environment, so that the
processes of one server share one clock (CLOCK_MONOTONIC is the same for the whole machine).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

SCALE = float(os.environ.get("TWIN_TIME_SCALE") or "0.05")
MAX_LIFETIME = float(os.environ.get("TWIN_MAX_LIFETIME") or "600")
T0 = float(os.environ.get("TWIN_T0") or time.monotonic())
DEADLINE = float(os.environ.get("TWIN_DEADLINE") or time.monotonic() + MAX_LIFETIME)


def begin() -> None:
    """Make this process the origin of the clock that its children inherit."""
    global T0, DEADLINE
    T0 = time.monotonic()
    DEADLINE = T0 + MAX_LIFETIME
    os.environ["TWIN_T0"] = repr(T0)
    os.environ["TWIN_DEADLINE"] = repr(DEADLINE)
    arm_lifetime()


def scaled(seconds: float) -> float:
    return seconds * SCALE


def unscaled(seconds: float) -> float:
    """What the real server would have needed."""
    return seconds / SCALE if SCALE else seconds


def pause(seconds: float) -> None:
    """Sleep for ``seconds`` of the real server's time; never so short that a loop spins."""
    time.sleep(max(scaled(seconds), 0.002))


def until(seconds: float) -> None:
    """Sleep until ``seconds`` of the real server's time after the start of the api_server."""
    left = T0 + scaled(seconds) - time.monotonic()
    if left > 0:
        time.sleep(left)


def arm_lifetime() -> None:
    """SIGALRM ends this process at the deadline; alarms survive exec but not fork."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, DEADLINE - time.monotonic()))


class Waiting:
    """What one process of the front end uses while it waits for its worker, evenly in time.

    Measured on release/2.4 on 2026-11-27, the worker stopped: the master 5 % of a core, the process
    behind Q 2.5 %, 40.6 kB/s each (they ask each other over TCP); no other process uses anything.
    In real seconds whatever the scale is: a share of a core has no scale.
    """

    EVERY_S, BYTES = 0.1, 4060

    def __init__(self, share: float) -> None:
        self.share = share
        self._over = threading.Event()

    def __enter__(self) -> None:
        self.begin()

    def begin(self) -> None:
        threading.Thread(target=self._burn, daemon=True).start()

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> None:
        self._over.set()

    def _burn(self) -> None:
        begun, used = time.monotonic(), time.thread_time()
        with open(sys.executable, "rb", buffering=0) as stream:
            while not self._over.wait(self.EVERY_S):
                stream.seek(0)
                stream.read(self.BYTES)
                while time.thread_time() - used < self.share * (time.monotonic() - begun):
                    pass
