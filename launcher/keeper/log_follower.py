"""Follows the engine's own log files, told by inotify, while the engine loads."""

from __future__ import annotations

import ctypes
import fnmatch
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from launcher.keeper.line_sampling import LONGEST, Attention
from launcher.keeper.loop import Loop
from launcher.keeper.output import Splitter
from launcher.keeper.record import Record
from launcher.plan.model import LaunchPlan, LogSource

_IN_MODIFY, _IN_CREATE, _IN_MOVED_TO = 0x2, 0x100, 0x80
_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC

READ_AT_ONCE = 1 << 20
"""Bytes taken from one file before the loop gets its turn again."""

PIECE = 64 * 1024
"""Bytes that are cut into lines at once: a line may be one byte long, and memory is short."""
BEHIND = 16 * READ_AT_ONCE
"""Bytes unread of one file beyond which only its end is read: nothing holds its writer back."""


class Follower:
    """Reads what is appended to the files of `sources` below `folder`.

    inotify tells of changes in the folder; symbolic links (FastDeploy's `NAME.log`) are skipped,
    since their dated targets lie beside them. What stands in the files already is an earlier
    run's: its phases and last words say nothing about the one that is about to start.
    """

    def __init__(
        self, loop: Loop, folder: Path, sources: tuple[LogSource, ...], attention: Attention
    ) -> None:
        """Start following; `folder` must exist.

        Raises:
            OSError: inotify is not to be had (its limits are reached).
        """
        self._loop = loop
        self._folder = folder
        self._sources = [(s.name, s.glob) for s in sources if s.glob]
        self._attention = attention
        self._again = self._closed = False
        self._offsets: dict[str, int] = {}
        self._splitters: dict[str, Splitter] = {}
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        watched = libc.inotify_add_watch(
            self._descriptor, os.fsencode(folder), _IN_MODIFY | _IN_CREATE | _IN_MOVED_TO
        )
        if self._descriptor < 0 or watched < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
        loop.add_reader(self._descriptor, self._changed)
        for entry, _ in self._files():
            self._offsets[entry.name] = entry.stat().st_size

    def _changed(self) -> None:
        try:
            os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        self._read_some()

    def _read_some(self) -> None:
        """Read a part of what is new in each file; the rest after the loop had its turn."""
        self._again = False
        unread = [self._read(source, entry.name) for entry, source in self._files()]
        if any(unread) and not self._again and not self._closed:
            self._again = True
            self._loop.call_soon(self._read_some)

    def _source_of(self, name: str) -> str | None:
        for source, pattern in self._sources:
            if fnmatch.fnmatchcase(name, pattern):
                return source
        return None

    def read_all(self) -> None:
        """Read everything new now: at a death the last lines matter before the loop turns."""
        for entry, source in self._files():
            for _ in range(BEHIND // READ_AT_ONCE + 1):
                if not self._read(source, entry.name):
                    break

    def _files(self) -> list[tuple[os.DirEntry[str], str]]:
        """The files to follow, each with its source."""
        try:
            entries = sorted(os.scandir(self._folder), key=lambda e: e.name)
        except OSError:
            return []  # the folder was removed: nothing is left to read
        return [
            (entry, source)
            for entry in entries
            if (source := self._source_of(entry.name)) is not None
            and not entry.is_symlink()
            and entry.is_file()
        ]

    def _read(self, source: str, name: str) -> bool:
        """Read at most `READ_AT_ONCE` bytes of what is new in a file; True if there is more."""
        splitter = self._splitters.setdefault(name, Splitter())
        offset = self._offsets.get(name, 0)
        try:
            with open(self._folder / name, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < offset:
                    offset = 0  # begun anew
                if size - offset > BEHIND:
                    offset = size - READ_AT_ONCE
                    splitter.finish()  # its other half is not read
                    self._attention.drop()
                file.seek(offset)
                end = min(size, offset + READ_AT_ONCE)
                while offset < end:
                    data = file.read(min(PIECE, end - offset))
                    if not data:
                        break
                    offset += len(data)
                    self._attention.lines(source, name, splitter.feed(data))
        except OSError:
            return False
        if offset != self._offsets.get(name, 0):
            self._offsets[name] = offset
            self._attention.unfinished(source, name, splitter.unfinished(LONGEST))
        return offset < size

    def rest(self, names: Collection[str]) -> Iterator[tuple[str, str]]:
        """(source, line) of what the files of these sources got since they were last read.

        Of a file that grew a lot only the end. Can be asked of a closed follower.
        """
        for entry, source in self._files():
            if source not in names:
                continue
            try:
                with open(entry.path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    file.seek(max(self._offsets.get(entry.name, 0), size - READ_AT_ONCE))
                    data = file.read(READ_AT_ONCE)
            except OSError:
                continue
            for line in data.splitlines():
                yield source, line[:LONGEST].decode(errors="replace")

    def close(self) -> None:
        """Stop following."""
        self._closed = True
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)


def follow(loop: Loop, plan: LaunchPlan, attention: Attention, record: Record) -> Follower | None:
    """Follow a plan's log files; None where that is not possible, which is told.

    Phases will be coarser and causes found later; the engine itself is not affected.
    """
    try:
        return Follower(loop, Path(plan.log_folder), plan.log_sources, attention)
    except OSError as error:
        message = f"the engine's log files cannot be followed: {error}"
        record.event("warning", message=message)
        return None
