"""What can lie in the place of a file: put there by a mistake, a tool or an attacker."""

import os
import shutil
import socket
from pathlib import Path

THINGS = ("nothing", "empty", "garbage", "folder", "full folder", "link", "pipe", "socket")


def remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def put(thing: str, path: Path) -> None:
    """Replace `path` by one of `THINGS`; a keeper that makes it anew meanwhile is the slower."""
    while True:
        try:
            return _put(thing, path)
        except FileExistsError:
            continue


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
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
