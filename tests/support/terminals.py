"""Real pseudo-terminals: a command runs in one, and what a person sees is read off its screen.

`screen` knows the few sequences that we send and fails at any other: what it does not know could
leave a terminal in a state that the next program has to live with.
"""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.files import wait_until_ready
from tests.support import ROOT, cli

_SEQUENCE = re.compile(r"\x1b\[(?P<style>[\d;]*m)|\x1b\[K|\x1b")
VARIABLES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")
"""What a test's own terminal would say about colours and width."""


@dataclass(frozen=True)
class Shown:
    """What a command left on a terminal: its bytes as text, and the exit code."""

    rc: int
    raw: str

    @property
    def lines(self) -> list[str]:
        """The lines that a person sees in the end, without colours."""
        return screen(self.raw)

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    @property
    def coloured(self) -> bool:
        """True where any colour or weight was sent."""
        return bool(re.search(r"\x1b\[[\d;]*m", self.raw))

    @property
    def clean(self) -> bool:
        """The cursor stands at the start of an empty line, and no style is left on."""
        styles = re.findall(r"\x1b\[([\d;]*)m", self.raw)
        last = self.raw.rpartition("\n")[2]
        return not screen(last)[0] and (not styles or styles[-1] in ("", "0"))


def screen(raw: str) -> list[str]:
    """The lines that `raw` leaves: overwriting and clearing are carried out, styles dropped."""
    lines = []
    for sent in raw.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        at = position = 0
        while position < len(sent):
            match = _SEQUENCE.match(sent, position)
            if match is not None:
                assert match[0] != "\x1b", f"an unknown sequence: {sent[position:][:12]!r}"
                if match[0] == "\x1b[K":
                    del cells[at:]
                position = match.end()
                continue
            if sent[position] == "\r":
                at = 0
            else:
                assert unicodedata.category(sent[position]) != "Cc", repr(sent[position])
                cells[at : at + 1] = [sent[position]]
                at += 1
            position += 1
        lines.append("".join(cells).rstrip())
    return lines


def width(text: str) -> int:
    """Columns of a line, by Unicode's own table."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


class Terminal:
    """A command in a pseudo-terminal; both of its streams are the terminal."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        home: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns)
        calm: dict[str, str | None] = dict.fromkeys(VARIABLES)
        variables = {**calm, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **(env or {})}
        self.process = subprocess.Popen(
            cli.argv(*arguments), stdin=slave, stdout=slave, stderr=slave,
            env=cli.environment(home, variables), cwd=cwd, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._data = b""

    def resize(self, columns: int) -> None:
        """Give the terminal another width; who runs in it is told by SIGWINCH."""
        size = struct.pack("HHHH", 40, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    @property
    def raw(self) -> str:
        """What was sent so far."""
        return self._data.decode("utf-8", "replace")

    def read_until(self, condition: Callable[[str], object], deadline: float = 300.0) -> str:
        """Read until `seen(raw)`; fails where the command ends or the time passes before."""
        end = time.monotonic() + deadline
        while not condition(self.raw):
            if time.monotonic() > end or not self._read(1.0):
                self.close()
                raise AssertionError(f"not seen:\n{self.raw[-3000:]}")
        return self.raw

    def interrupt(self) -> None:
        """What Ctrl-C does, without the terminal's echo."""
        self.process.send_signal(signal.SIGINT)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def drain(self, deadline: float = 300.0) -> None:
        """Read to the end, whatever was sent: a program that takes the whole screen."""
        end = time.monotonic() + deadline
        while self._read(1.0):
            assert time.monotonic() < end, f"no end in {deadline:g} s"

    def finish(self, deadline: float = 300.0) -> Shown:
        """Read to the end; the command must end within the deadline."""
        end = time.monotonic() + deadline
        try:
            while self._read(1.0):
                assert time.monotonic() < end, f"no end in {deadline:g} s:\n{self.raw[-3000:]}"
            return Shown(self.process.wait(deadline), self.raw)
        finally:
            self.close()

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self, seconds: float) -> bool:
        """Take what is there; False at the end (EIO: no process has the terminal any more)."""
        if not wait_until_ready(self._master, seconds):
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self._data += data
        return bool(data)


def show(*arguments: str, **options: object) -> Shown:
    """A command to its end in a terminal; see `Terminal`."""
    return Terminal(*arguments, **options).finish()  # type: ignore[arg-type]
