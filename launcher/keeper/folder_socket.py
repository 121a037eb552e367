"""A listening Unix socket in an instance's folder, which can be made anew while clients stay."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from launcher.keeper.control import folder_address
from launcher.keeper.leftovers import file_identity
from launcher.keeper.listener import Listener
from launcher.keeper.loop import Loop


class FolderSocket:
    """Listens at `folder/name` with mode 0600; arguments as those of `Listener`."""

    def __init__(
        self,
        loop: Loop,
        folder: Path,
        name: str,
        take: Callable[[socket.socket], None],
        make_room: Callable[[], None],
    ) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made.
        """
        self._loop = loop
        self._folder = folder
        self._path = folder / name
        self._take = take
        self._make_room = make_room
        self._open()

    def _open(self) -> None:
        _clear(self._path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            descriptor, address = folder_address(self._folder, self._path.name)
            try:
                listening.bind(address)
            finally:
                os.close(descriptor)
            os.chmod(self._path, 0o600)
            listening.listen(128)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
        self._listener = Listener(self._loop, listening, self._take, self._make_room)
        self._identity = file_identity(self._path)

    def in_place(self) -> bool:
        """True while the socket that clients find in the folder is the one we listen on."""
        return self._identity is not None and file_identity(self._path) == self._identity

    def listen_again(self) -> None:
        """Make the socket anew after it was removed or replaced; connections stay.

        Raises:
            OSError: it cannot be made now; the old one is listened on further.
        """
        old = self._listener
        self._open()
        old.close()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self.in_place():
            # Gone already, or the disk is read-only: a socket without a listener is harmless.
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._listener.close()


def _clear(path: Path) -> None:
    """Make room for the socket: whatever has its name goes; a folder with something in it aside."""
    try:
        is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_folder:
        path.unlink(missing_ok=True)
        return
    try:
        path.rmdir()
    except OSError:
        aside = path.with_name(f"{path.name}.replaced")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
