r"""The engine's output: captured, stamped, rotated, and cut into lines for the watchers.

Every piece is one record in `engine.log`, in the format of the Kubernetes container runtime
interface: `2026-01-02T03:04:05.123456Z stderr F text`. Tag `F` is a whole line; `P` a piece that
was overwritten by a carriage return (progress bars) or is too long for one record.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from launcher import files, paths
from launcher.log_records import LONGEST_RECORD

Runs = list[tuple[bytes, bool]]
"""Lines in their order. Each item is one line or more that ended alike, joined by newlines and
without the last one: True where they ended in a newline, False where they were overwritten or cut.

A block of a thousand lines is one item, so that what is done with it is done once."""


class Splitter:
    r"""Cuts a byte stream into lines at `\n`, `\r\n` and `\r`; keeps what is unfinished."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._pending = b""

    def feed(self, data: bytes) -> Runs:
        r"""The lines completed by `data`.

        A `\r` at the very end waits for the next byte: it may be half of `\r\n`.
        """
        buffer = self._pending + data
        carried = b"\r" if buffer.endswith(b"\r") else b""
        body, newline, rest = (buffer[:-1] if carried else buffer).rpartition(b"\n")
        runs = _split_overwritten(body.removesuffix(b"\r")) if newline else []
        if b"\r" in rest:
            overwritten, _, rest = rest.rpartition(b"\r")
            runs.append((overwritten.replace(b"\r", b"\n"), False))
        if len(buffer) > LONGEST_RECORD:
            runs = [piece for run in runs for piece in _cut_long_lines(*run)]
            *pieces, (rest, _) = _cut(rest, False)
            runs += pieces
        self._pending = rest + carried
        return runs

    def unfinished(self, most: int = LONGEST_RECORD) -> bytes:
        """The beginning of the unfinished line: a progress bar stands here until overwritten."""
        return self._pending[:most].rstrip(b"\r")

    def finish(self) -> Runs:
        """The unfinished line, at the end of the stream."""
        rest = self._pending.rstrip(b"\r")
        self._pending = b""
        return [(rest, True)] if rest else []


def _split_overwritten(body: bytes) -> Runs:
    r"""Complete lines, without the last newline, of which some may hold a `\r`."""
    runs: Runs = []
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    begin = 0
    while (at := body.find(b"\r", begin)) >= 0:
        start = body.rfind(b"\n", begin, at) + 1 or begin
        if start > begin:
            runs.append((body[begin : start - 1], True))
        end = body.find(b"\n", at)
        last = body.rfind(b"\r", at, end if end >= 0 else len(body))
        runs.append((body[start:last].replace(b"\r", b"\n"), False))
        begin = last + 1
    runs.append((body[begin:], True))
    return runs


def _cut_long_lines(text: bytes, is_complete: bool) -> Iterator[tuple[bytes, bool]]:
    """The same lines, those cut that are longer than `LONGEST_RECORD`."""
    begin = 0
    while len(text) - begin > LONGEST_RECORD:
        end = text.rfind(b"\n", begin, begin + LONGEST_RECORD + 1)
        if end >= 0:
            yield text[begin:end], is_complete
        else:
            end = text.find(b"\n", begin)
            end = end if end >= 0 else len(text)
            yield from _cut(text[begin:end], is_complete)
            if end == len(text):
                return
        begin = end + 1
    yield text[begin:], is_complete


def _cut(text: bytes, is_complete: bool) -> Iterator[tuple[bytes, bool]]:
    """Pieces of at most `LONGEST_RECORD` bytes; no character of UTF-8 is cut in two."""
    while len(text) > LONGEST_RECORD:
        at = LONGEST_RECORD
        while at > LONGEST_RECORD - 3 and text[at] & 0xC0 == 0x80:
            at -= 1
        if text[at] & 0xC0 == 0x80:
            at = LONGEST_RECORD  # no UTF-8 at all
        yield text[:at], False
        text = text[at:]
    yield text, is_complete


class LogFile:
    """An append-only log that is rotated by size and never loses a record to rotation."""

    def __init__(self, path: Path, max_size: int, keep: int) -> None:
        """Open `path`; keep `keep` rotated files of at most about `max_size` bytes."""
        self._path = path
        self._max_size = max_size
        self._keep = keep
        self.lost_bytes = 0
        """Bytes that could not be written, the disk being full."""
        self._torn = False
        self._grace = 0
        """Bytes beyond `max_size` that the file may grow to, since a rotation failed."""
        self._open()

    def _open(self) -> None:
        self._descriptor = files.open_append(self._path)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, stream: str, runs: Runs) -> None:
        """Append lines of `stream` (stdout or stderr), stamped with the time of writing (UTC).

        A file ends where it would if each line were written by itself.
        """
        if not runs:
            return
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        prefix = f"{stamp}.{int(now % 1 * 1e6):06d}Z {stream} ".encode()
        data = b"".join(_stamp(text, prefix + (b"F " if end else b"P ")) for text, end in runs)
        self._take_place()
        while data:
            part = self._fit(data)
            if not part:
                if self._size:
                    self._rotate()
                part = self._fit(data) or data[: data.index(b"\n") + 1]
            data = data[len(part) :]
            if not self._append(part):
                self.lost_bytes += len(data)
                return

    def _fit(self, data: bytes) -> bytes:
        """Those of the first records of `data` that the file has room for."""
        room = max(0, self._max_size + self._grace - self._size)
        return data if len(data) <= room else data[: data.rfind(b"\n", 0, room) + 1]

    def _append(self, data: bytes) -> bool:
        """Write whole records; False where the disk is full."""
        if self._torn:
            # A half record stands at the end: what follows must not become a part of it.
            data = b"\n" + data
        length = len(data)
        while data:
            try:
                written = os.write(self._descriptor, data)
            except OSError:
                # A full disk must not stop the engine: it would block on its pipe.
                self.lost_bytes += len(data)
                self._torn = self._torn or len(data) < length
                return False
            self._torn = False
            self._size += written
            data = data[written:]
        return True

    def _take_place(self) -> None:
        """Begin the file anew where it was removed, moved or replaced: readers look there.

        Two calls of the kernel at each write, so that no line goes to a file without a reader.
        """
        if files.is_same(self._path, self._descriptor):
            size = os.fstat(self._descriptor).st_size
            if size < self._size:  # emptied, as `copytruncate` does
                self._torn, self._grace = False, 0
            self._size = size
            return
        old = self._descriptor
        try:
            paths.private_folder(self._path.parent)
            self._descriptor = files.open_append(self._path)
        except OSError:
            return  # tried again a moment later
        self._size = os.fstat(self._descriptor).st_size
        self._torn, self._grace = False, 0
        os.close(old)

    def _rotate(self) -> None:
        """Begin a new file; where that fails (disk full), the old one is written on."""
        old = self._descriptor
        try:
            for number in range(self._keep, 0, -1):
                older = self._path.with_name(f"{self._path.name}.{number}")
                newer = self._path.with_name(f"{self._path.name}.{number - 1}")
                if number == 1:
                    newer = self._path
                if newer.exists():
                    if older.is_dir():  # not ours; a file cannot take its place
                        files.clear(older)
                    newer.replace(older)
            if self._keep == 0:
                self._path.unlink(missing_ok=True)
            self._open()
        except OSError:
            self._descriptor = old
            self._grace += self._max_size  # not tried again before another whole file's worth
            return
        os.close(old)
        self._torn, self._grace = False, 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _stamp(text: bytes, prefix: bytes) -> bytes:
    """`prefix` before each line of `text`."""
    return prefix + text.replace(b"\n", b"\n" + prefix) + b"\n"
