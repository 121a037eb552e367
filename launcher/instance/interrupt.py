"""SIGINT and SIGTERM while an instance is started: nothing may be left half done."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from launcher.errors import ExitCode


@dataclass
class Interrupt:
    """Which signal asked us to stop, if any.

    As long as `raises` is set, a signal becomes a KeyboardInterrupt at once: nothing has been
    started that would have to be ended. Later it is only noted, and wakes the reader of `wake`.
    """

    wake: int
    number: int | None = None
    raises: bool = True

    def hold(self) -> None:
        """From now on only note signals.

        Raises:
            KeyboardInterrupt: one came just before.
        """
        self.raises = False
        if self.number is not None:
            raise KeyboardInterrupt

    @property
    def exit_code(self) -> ExitCode:
        """143 after SIGTERM, else 130."""
        terminated = self.number == signal.SIGTERM
        return ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Note SIGINT and SIGTERM; one our caller ignores (nohup, `&` in a script) stays ignored."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    interrupt = Interrupt(read)

    def note(number: int, frame: object) -> None:
        interrupt.number = interrupt.number or number
        with contextlib.suppress(OSError):
            os.write(write, b"\0")
        if interrupt.raises:
            raise KeyboardInterrupt

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, note)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)
