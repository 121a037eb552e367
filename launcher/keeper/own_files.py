"""The keeper's own files: noticed when they are removed or replaced, and made anew.

Without its socket, its lock or its folder a living instance could not be reached, would look free
or absent. inotify tells of changes; a look now and then covers filesystems that tell nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

from launcher import files, paths
from launcher.keeper.admin.endpoint import Endpoint
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.record import Record, file_stamp
from launcher.keeper.server import Server

_IN_CLOSE_WRITE, _IN_MOVED_FROM, _IN_MOVED_TO = 0x8, 0x40, 0x80
_IN_CREATE, _IN_DELETE, _IN_DELETE_SELF, _IN_MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_MASK = (
    _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_DELETE_SELF
    | _IN_MOVE_SELF
)  # fmt: skip

SETTLE = 0.1
"""Seconds after a change: who deletes a folder has further files to delete."""
LOOK = 5.0
"""Seconds between two looks where nothing was told."""
KEPT = ("profile.yaml", "profile.json", "options.json", "origins.json", "plan.json", "token")
"""Files that `up` wrote, which nothing changes while the instance lives."""


class OwnFiles:
    """See the module's docstring."""

    def __init__(
        self,
        loop: Loop,
        folder: Path,
        record: Record,
        server: Server,
        endpoint: Endpoint | None,
        lock: int | None,
    ) -> None:
        """Begin to watch; `lock` is the open, locked descriptor of `folder/lock`."""
        self._loop = loop
        self._folder = folder
        self._record = record
        self._server = server
        self._endpoint = endpoint
        self._lock = lock
        self._kept: dict[str, bytes] = {}
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._timer: Timer | None = None
        self._told: set[str] = set()
        self._console = folder / "logs" / "keeper.log"
        self._outputs = [one for one in (1, 2) if files.is_same(self._console, one)]
        """Our stdout and stderr, unless we run in the foreground: then they are the caller's."""
        for name in KEPT:
            with contextlib.suppress(OSError):
                self._kept[name] = files.read_bytes(folder / name)
                self._stamps[name] = file_stamp(folder / name)
        libc = ctypes.CDLL(None, use_errno=True)
        self._add_watch = libc.inotify_add_watch
        self._descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor >= 0:  # none left on this host: then only the look now and then
            loop.add_reader(self._descriptor, self._changed)
        self._watch()
        self._schedule(LOOK)

    def close(self) -> None:
        """Stop watching: what follows are our own last changes."""
        if self._timer is not None:
            self._timer.cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _watch(self) -> None:
        """Watch the folder, its logs, and those above it, whose removal takes it along."""
        if self._descriptor >= 0:
            above = (self._folder, self._folder.parent, self._folder.parent.parent)
            for folder in (self._folder / "logs", *above):
                # The same watch again where it is the same folder.
                self._add_watch(self._descriptor, os.fsencode(folder), _MASK)

    def _changed(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._descriptor, 65536):
                pass
        self._schedule(SETTLE)

    def _schedule(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.check)

    def check(self) -> None:
        """Look at each of them, and make anew what is not as we left it."""
        failed = False
        for name, heal in (
            ("its folder", self._heal_folder),
            ("logs/keeper.log", self._heal_console),
            ("lock", self._heal_lock),
            ("control.sock", self._heal_socket),
            ("admin.sock", self._heal_endpoint),
            ("events.jsonl", self._heal_events),
            ("state.json", self._heal_state),
            ("its profile and plan", self._heal_kept),
        ):
            failed |= not self._healed(name, heal)
        self._watch()
        self._schedule(LOOK / 5 if failed else LOOK)

    def _healed(self, name: str, heal: Callable[[], bool]) -> bool:
        try:
            changed = heal()
        except OSError as error:
            if name not in self._told:
                self._told.add(name)
                text = f"{name} was removed or replaced and cannot be made anew: {error.strerror}"
                self._record.event("warning", message=text)
            return False
        if changed:
            self._told.discard(name)
            self._record.event("warning", message=f"{name} was removed or replaced; made anew")
        return True

    def _heal_folder(self) -> bool:
        if self._folder.is_dir() and not self._folder.is_symlink():
            missing = not (self._folder / "logs" / "engine").is_dir()
        else:
            missing = True
            if os.path.lexists(self._folder):
                files.clear(self._folder)
        if missing:
            for part in (self._folder / "logs", self._folder / "logs" / "engine"):
                if os.path.lexists(part) and not part.is_dir():
                    files.clear(part)
            paths.private_folder(self._folder / "logs" / "engine")
        return missing

    def _heal_console(self) -> bool:
        if not self._outputs or files.is_same(self._console, self._outputs[0]):
            return False
        fresh = files.open_append(self._console)
        try:
            for descriptor in self._outputs:
                os.dup2(fresh, descriptor)
        finally:
            os.close(fresh)
        return True

    def _heal_lock(self) -> bool:
        path = self._folder / "lock"
        if self._lock is None or files.is_same(path, self._lock):
            return False
        fresh = files.open_append(path)
        # A `down` or `up` that took it meanwhile finds us living, and lets go of it.
        if not files.try_lock(fresh):
            os.close(fresh)
            self._schedule(SETTLE)
            return False
        os.close(self._lock)
        self._lock = fresh
        return True

    def _heal_socket(self) -> bool:
        if self._server.in_place():
            return False
        self._server.listen_again()
        return True

    def _heal_endpoint(self) -> bool:
        if self._endpoint is None or self._endpoint.in_place():
            return False
        self._endpoint.listen_again()
        return True

    def _heal_events(self) -> bool:
        return self._record.restore_events()

    def _heal_state(self) -> bool:
        return self._record.restore_state()

    def _heal_kept(self) -> bool:
        changed = False
        for name, data in self._kept.items():
            path = self._folder / name
            if file_stamp(path) == self._stamps[name]:
                continue
            if _content(path) != data:
                files.write_atomically(path, data)
                changed = True
            self._stamps[name] = file_stamp(path)
        return changed


def _content(path: Path) -> bytes | None:
    try:
        return files.read_bytes(path)
    except OSError:
        return None
