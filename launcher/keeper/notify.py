"""Tells systemd how the instance is: sd_notify(3), without a library."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from launcher.keeper.loop import Loop, Timer

AGAIN = 0.5
"""Seconds until a message that found no room is sent again."""
NO_ROOM = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""systemd's queue is full, or we have no descriptor: both pass."""


class Notifier:
    """Sends messages to NOTIFY_SOCKET; does nothing where there is none."""

    def __init__(self, environ: dict[str, str], loop: Loop | None = None) -> None:
        """Take the socket and the watchdog's interval from the environment.

        With `loop`, what systemd has no room for is sent again a little later.
        """
        self._loop = loop
        self._waiting: list[str] = []
        self._again: Timer | None = None
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds: float | None = None
        own = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if self._address and own and environ.get("WATCHDOG_USEC", "").isdigit():
            # Half the interval, as sd_watchdog_enabled(3) recommends.
            self.watchdog_seconds = int(environ["WATCHDOG_USEC"]) / 1e6 / 2

    @property
    def active(self) -> bool:
        """True under systemd with Type=notify."""
        return bool(self._address)

    def feed_watchdog(self, loop: Loop, alive: Callable[[], bool]) -> None:
        """Send `WATCHDOG=1` as often as systemd wants it, as long as `alive` says so.

        Only a loop that runs can feed it (systemd#20265: a timer of its own would feed it for a
        server that hangs).
        """
        if self.watchdog_seconds is None:
            return
        if alive():
            self.send("WATCHDOG=1")
        loop.call_later(self.watchdog_seconds, lambda: self.feed_watchdog(loop, alive))

    def send(self, message: str) -> None:
        """Send one message, `READY=1` for instance, or keep it for later: this never waits.

        systemd's queue of messages is full while it is busy. Of each kind the newest is kept.
        """
        if not self._address:
            return
        kind = message.partition("=")[0]
        self._waiting = [one for one in self._waiting if one.partition("=")[0] != kind]
        self._waiting.append(message)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._try(self._waiting[0]):
            del self._waiting[0]
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._waiting and self._loop is not None:
            self._again = self._loop.call_later(AGAIN, self._send_waiting)

    def _try(self, message: str) -> bool:
        """False where it cannot be written now; a supervisor that is gone gets nothing later."""
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            with socket.socket(socket.AF_UNIX, kind) as sender:
                sender.connect(address)
                sender.send(message.encode())
        except OSError as error:
            return error.errno not in NO_ROOM
        return True
