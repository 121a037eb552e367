"""Follows the engine's own log files, told by inotify, while the engine loads."""

from __future__ import annotations

import ctypes
import fnmatch
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from launcher.keeper.loop import Loop
from launcher.keeper.output import Splitter
from launcher.plan.model import LogSource

_IN_MODIFY, _IN_CREATE, _IN_MOVED_TO = 0x2, 0x100, 0x80
_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC

READ_AT_ONCE = 1 << 20
"""Bytes taken from one file before the loop gets its turn again."""

OnLine = Callable[[str, str, str, bool], None]
"""Called with (source, file name, text, final); not final is an unfinished progress line."""


class Follower:
    """Reads what is appended to the files of `sources` below `folder`.

    inotify tells of changes in the folder; symbolic links (FastDeploy's `NAME.log`) are skipped,
    since their dated targets lie beside them. What stands in the files already is an earlier
    run's: its phases and last words say nothing about the one that is about to start.
    """

    def __init__(
        self, loop: Loop, folder: Path, sources: tuple[LogSource, ...], on_line: OnLine
    ) -> None:
        """Start following; `folder` must exist.

        Raises:
            OSError: inotify is not to be had (its limits are reached).
        """
        self._loop = loop
        self._folder = folder
        self._sources = [(s.name, s.glob) for s in sources if s.glob]
        self._on_line = on_line
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
        self.read_all()

    def _source_of(self, name: str) -> str | None:
        for source, pattern in self._sources:
            if fnmatch.fnmatchcase(name, pattern):
                return source
        return None

    def read_all(self) -> None:
        """Read everything new now: at a death the last lines matter before the loop turns."""
        for entry, source in self._files():
            self._read(source, entry.name)

    def _files(self) -> list[tuple[os.DirEntry[str], str]]:
        """The files to follow, each with its source."""
        try:
            entries = sorted(os.scandir(self._folder), key=lambda e: e.name)
        except OSError:
            return []  # somebody removed the folder: there is nothing to read any more
        return [
            (entry, source)
            for entry in entries
            if (source := self._source_of(entry.name)) is not None
            and not entry.is_symlink()
            and entry.is_file()
        ]

    def _read(self, source: str, name: str) -> None:
        splitter = self._splitters.setdefault(name, Splitter())
        try:
            with open(self._folder / name, "rb") as file:
                if os.fstat(file.fileno()).st_size < self._offsets.get(name, 0):
                    self._offsets[name] = 0  # begun anew
                file.seek(self._offsets.get(name, 0))
                data = file.read(READ_AT_ONCE)
        except OSError:
            return
        if not data:
            return
        self._offsets[name] = self._offsets.get(name, 0) + len(data)
        for text, _ in splitter.feed(data):
            self._on_line(source, name, text.decode(errors="replace"), True)
        if splitter.pending:
            self._on_line(source, name, splitter.pending, False)
        if len(data) == READ_AT_ONCE:
            self._loop.call_soon(self.read_all)

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
            for line in data.decode(errors="replace").splitlines():
                yield source, line

    def close(self) -> None:
        """Stop following."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
