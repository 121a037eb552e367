"""Tells systemd how the instance is: sd_notify(3), without a library."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from launcher.keeper.loop import Loop


class Notifier:
    """Sends messages to NOTIFY_SOCKET; does nothing where there is none."""

    def __init__(self, environ: dict[str, str]) -> None:
        """Take the socket and the watchdog's interval from the environment."""
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
        """Send one message, `READY=1` for instance; a lost one is not worth dying for."""
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.connect(address)
                sender.sendall(message.encode())
            except OSError:
                return
