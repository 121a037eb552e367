"""Files of the state, read and written so that whatever lies in their place does no harm.

Anybody who may write in a state folder can put a pipe, a link, a folder or a device there. Reading
takes plain files only, never waits and has a bound; writing replaces what is in the way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import time
from pathlib import Path

LONGEST_TEXT = 64 * 1024 * 1024
"""Bytes of the longest file that is read; ours have some kilobytes."""

MOST_LENGTHS = 1000
"""Files of a folder whose lengths are told: FastDeploy has some 60 logs."""

_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def open_plain(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of the plain file at `path`.

    Raises:
        OSError: it is not there, cannot be opened, or is not a plain file.
    """
    descriptor = os.open(path, flags | _SAFE, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return descriptor


def read_bytes(path: Path) -> bytes:
    """The whole file.

    Raises:
        OSError: it is not there, cannot be read, is not a plain file or too long.
    """
    descriptor = open_plain(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(LONGEST_TEXT + 1)
    if len(data) > LONGEST_TEXT:
        raise OSError(errno.EFBIG, f"it has more than {LONGEST_TEXT} bytes", str(path))
    return data


def read_input(path: str | os.PathLike[str], limit: int, deadline: float) -> bytes:
    """What the user named: a file or a pipe (`<(command)`), and at most `limit` bytes and one more.

    Unlike the files of the state it may be a link or a pipe, so it has a deadline, in seconds.

    Raises:
        OSError: it is not there, is a folder or a socket, cannot be read, or its writer is silent.
        ValueError: the path holds a NUL.
    """
    end = time.monotonic() + deadline
    data = bytearray()
    # A pipe that has no writer would otherwise hold the caller until one comes.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EISDIR, "is a folder", str(path))
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while len(data) <= limit:
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                message = f"nothing came within {deadline:g} s"
                raise TimeoutError(errno.ETIMEDOUT, message, str(path))
            try:
                more = os.read(descriptor, limit + 1 - len(data))
            except BlockingIOError:
                continue
            if not more:
                break
            data += more
    finally:
        os.close(descriptor)
    return bytes(data)


def wait_until_ready(descriptor: int, seconds: float, *, writing: bool = False) -> bool:
    """True as soon as it can be read (at its end too) or written; False after `seconds`.

    Not by `select`, which refuses descriptors from 1024 on: callers may have opened many.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT if writing else select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def read_text(path: Path, errors: str = "strict") -> str:
    """The whole file as UTF-8.

    Raises:
        OSError: see `read_bytes`.
        UnicodeDecodeError: it is not text.
    """
    return read_bytes(path).decode(errors=errors)


def open_append(path: Path) -> int:
    """A descriptor that appends to the plain file at `path`, which is made where it is not there.

    Raises:
        OSError: it cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    try:
        return _private(open_plain(path, flags))
    except OSError as error:
        if _is_plain(path) or not os.path.lexists(path):
            raise
        try:
            clear(path)
        except OSError:
            raise error from None
        return open_plain(path, flags)


def _private(descriptor: int) -> int:
    """The same file, mode 0600: logrotate makes new ones that every user can read."""
    info = os.fstat(descriptor)
    if info.st_mode & 0o077 and info.st_uid == os.geteuid():
        with contextlib.suppress(OSError):  # a file system without modes
            os.fchmod(descriptor, 0o600)
    return descriptor


def write_atomically(path: Path, text: str | bytes) -> None:
    """Replace `path` by `text`, mode 0600; a reader sees the old or the new, never a half.

    Raises:
        OSError: the disk is full or the folder is gone; the old file is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    clear(temporary)
    write_through(temporary, path, text, mode=0o600, clears_folder=True)


def write_through(
    temporary: Path, path: Path, text: str | bytes, *, mode: int, clears_folder: bool = False
) -> None:
    """Write `text` to the new file `temporary` (same folder) and put that in the place of `path`.

    `clears_folder`: a folder at `path` is moved out of the way.

    Raises:
        FileExistsError: something is at `temporary`; it is neither followed nor changed.
        OSError: the disk is full or the folder is gone; the old file is untouched then.
    """
    data = text.encode() if isinstance(text, str) else text
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if clears_folder and os.path.isdir(path) and not os.path.islink(path):
            clear(path)
        os.replace(temporary, path)
    except BaseException:
        # The first error is the one to tell; what cannot be removed is cleared by the next write.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def try_lock(descriptor: int) -> bool:
    """Take the flock of an open file and return at once; False where another open file has it.

    The lock belongs to the open file: a child that inherits the descriptor holds it, too.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """True while the flock of the file at `path` is held; False without a plain file.

    The lock is asked for as a shared one, so that two that look do not see each other.
    """
    try:
        descriptor = open_plain(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks, where it cannot be ruled out
        return True
    finally:
        os.close(descriptor)
    return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte.

    Raises:
        OSError: the disk is full; some of it may have been written.
    """
    while data:
        data = data[os.write(descriptor, data) :]


def write_over(path: Path, text: str) -> bool:
    """Write `text` into the blocks that the file at `path` has; False where they are too few.

    For a full disk, on which nothing can be replaced.
    """
    data = text.encode()
    try:
        descriptor = open_plain(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_blocks * 512 < len(data):
            return False
        write_all(descriptor, data)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def is_full(error: OSError) -> bool:
    """True where the error says that the disk, or the user's share of it, is full."""
    return error.errno in _NO_SPACE


def clear(path: Path) -> None:
    """Make room at `path`: a folder with something in it is moved aside, anything else removed.

    Raises:
        OSError: it cannot be removed.
    """
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
        aside = path.with_name(f".{path.name}.replaced")
        import shutil  # here: it brings every kind of archive along, and few verbs remove folders

        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)


def is_same(path: Path, descriptor: int) -> bool:
    """True where `path` names the open file `descriptor`."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def lengths(*folders: str | os.PathLike[str]) -> dict[str, int]:
    """Bytes of each plain file below `folders`, by inode: a rotation changes its name."""
    lengths_by_path: dict[str, int] = {}
    for folder in folders:
        for base, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    info = os.lstat(os.path.join(base, name))
                    if stat.S_ISREG(info.st_mode) and len(lengths_by_path) < MOST_LENGTHS:
                        lengths_by_path[str(info.st_ino)] = info.st_size
    return lengths_by_path
