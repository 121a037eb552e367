"""What can lie in the place of a file: put there by a mistake, a tool or an attacker."""

import errno
import os
import shutil
import socket
from pathlib import Path

MADE_MEANWHILE = {errno.EEXIST, errno.EADDRINUSE, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY}
"""What our steps end with where a keeper has made the file anew between two of them."""
THINGS = ("nothing", "empty", "garbage", "folder", "full folder", "link", "pipe", "socket")


def remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def put(thing: str, path: Path) -> None:
    """Replace `path` by one of `THINGS`; a keeper that makes it anew meanwhile is the slower."""
    for last in [False] * 1000 + [True]:
        try:
            _put(thing, path)
            return
        except OSError as error:
            if last or error.errno not in MADE_MEANWHILE:
                raise


def _put(thing: str, path: Path) -> None:
    remove(path)
    if thing == "empty":
        path.touch(0o600)
    elif thing == "garbage":
        path.write_bytes(b"\x00\xff{[garbage\n" * 10)
    elif thing in ("folder", "full folder"):
        path.mkdir()
        if thing == "full folder":
            (path / "in it").touch()
    elif thing == "link":
        path.symlink_to("/nonexistent/target")
    elif thing == "pipe":
        os.mkfifo(path)
    elif thing == "socket":
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
