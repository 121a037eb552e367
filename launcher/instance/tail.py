"""What is appended to a file that its writer may rotate, empty or replace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

LONGEST = 128 * 1024
"""Of a line that is longer (an engine's own log may have no newline at all) pieces are shown."""


class Tail:
    """What is appended to a file, over rotations: the old file is read to its end first."""

    def __init__(self, path: Path, before: Callable[[], Iterable[str]] = tuple) -> None:
        """Read the file at `path` from its beginning; it need not exist yet.

        `before` is called whenever another file was found there, and its lines come first.
        """
        self._before = before
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def open(self) -> None:
        """Open the file now if it is there: it is read although it be rotated meanwhile."""
        if self._file is None:
            self._open()

    def is_reading(self, descriptor: int) -> bool:
        """True where `descriptor` is of the file that is open."""
        return self._file is not None and os.path.sameopenfile(self._file.fileno(), descriptor)

    def new(self, *, final: bool = False) -> Iterator[str]:
        """The lines that came since; with `final` also one that has no end."""
        return (text for text, _ in self.pieces(final=final))

    def pieces(self, *, final: bool = False) -> Iterator[tuple[str, bool]]:
        """As `new`, each with whether it is a piece of a line that goes on in the next."""
        while True:
            if self._file is None:
                if not self._open():
                    break
                yield from ((line, False) for line in self._before())
            yield from self._read()
            if not self._replaced():
                break
            yield from self._read()  # between the last read and the rotation
            self._close()
            yield from self._last()  # its end was never written
        if final:
            yield from self._last()
            self._close()

    def close(self) -> None:
        """Close the file; `new` would open it again."""
        self._close()

    def _open(self) -> bool:
        with contextlib.suppress(OSError):
            self._file = self._path.open("rb")
        return self._file is not None

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _replaced(self) -> bool:
        try:
            now = self._path.stat()
        except OSError:
            return False  # in the middle of a rotation, or gone for good
        return self._file is not None and not os.path.samestat(os.fstat(self._file.fileno()), now)

    def _last(self) -> Iterator[tuple[str, bool]]:
        if self._rest:
            yield self._rest.decode(errors="replace"), False
            self._rest = b""

    def _read(self) -> Iterator[tuple[str, bool]]:
        if self._file is None:
            return
        size = os.fstat(self._file.fileno()).st_size
        if size < self._file.tell():
            self._file.seek(0)  # emptied in place
        # Up to its end as it is now: who writes faster than we show must not keep us here.
        while self._file.tell() < size and (data := self._file.read(LONGEST)):
            *complete, self._rest = (self._rest + data).split(b"\n")
            for raw in complete:
                yield raw.decode(errors="replace"), False
            if len(self._rest) > LONGEST:
                yield self._rest.decode(errors="replace"), True
                self._rest = b""
