"""inotify(7): the kernel tells of changes in a folder."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
ENTRIES = CREATE | DELETE | MOVED_FROM | MOVED_TO
"""What a folder holds has changed."""
CONTENT = ENTRIES | MODIFY | CLOSE_WRITE
"""So has what is in its files."""


class Inotify:
    """A queue of changes; `descriptor` can be read while there are any."""

    def __init__(self) -> None:
        """Watch nothing yet.

        Raises:
            OSError: this user or host has no queue left (fs.inotify.max_user_instances).
        """
        libc = ctypes.CDLL(None, use_errno=True)
        self._add_watch = libc.inotify_add_watch
        self.descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def watch(self, folder: Path, mask: int) -> bool:
        """Tell of changes in `folder`; False where it is not there or cannot be watched."""
        return bool(self._add_watch(self.descriptor, os.fsencode(folder), mask) >= 0)

    def drain(self) -> None:
        """Forget the changes so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, 65536):
                pass

    def close(self) -> None:
        """Give the queue back."""
        os.close(self.descriptor)
