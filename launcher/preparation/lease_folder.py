"""The folders in which leases lie: the user's own, verified, because others may not touch them.

A lease is locked in every folder that can be used: the runtime folder goes away when the user logs
out and is absent in a cron job, the state folder stays. Folders are held open and files are opened
relative to them, so that nothing can be put in their place between the look and the use. What is
not as expected is left out; without any folder the kernel's bind decides alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

NAME = "ernie-deploy-leases"
RUNTIME = Path("/run/user")
"""Where a login makes a private folder for each user, named by number."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ODD = (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EACCES, errno.EPERM)
"""What opening a link, a pipe or socket, a folder, or a file of another user ends with."""
_MACHINE = Path("/etc/machine-id")


class UnsafeError(OSError):
    """A file or folder that is not what a lease needs: not ours, a link, a pipe, open to others."""


@contextlib.contextmanager
def open_all() -> Iterator[tuple[int, ...]]:
    """Descriptors of every lease folder that can be used, each made where it was missing."""
    opened: dict[tuple[int, int], int] = {}
    try:
        for path in _runtime(os.environ):
            if is_trusted(path):
                _add(opened, path, (NAME,))
        for path in _state(os.environ):
            # Homes are shared between machines: a port of one is not a port of the other.
            # No Path.resolve: before Python 3.13 it raises for a link to itself.
            real = Path(os.path.realpath(path))
            if _is_there(path) and _add(opened, real, (NAME, _machine())):
                break
        yield tuple(opened.values())
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def open_file(folder: int, name: str) -> int:
    """A descriptor of the lease `name` in `folder`, made where it was missing.

    Raises:
        UnsafeError: something else is there under that name.
        OSError: it cannot be opened or made.
    """
    try:
        descriptor = os.open(name, _OPEN_FILE | os.O_CREAT, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno in _ODD and _exists(folder, name):
            raise UnsafeError(error.errno, error.strerror, name) from None
        raise
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_nlink != 1:
        os.close(descriptor)
        raise UnsafeError(0, "no regular file of ours with one name", name)
    return descriptor


def is_trusted(path: Path) -> bool:
    """True where only this user and root decide what lies at `path`, along all of its parts."""
    if not path.is_absolute():
        return False
    # Where root has no number in our user namespace, the owner of `/` stands for it.
    trusted = (0, os.geteuid(), os.lstat("/").st_uid)
    for component in {path, Path(os.path.realpath(path))}:
        for part in (component, *component.parents):
            try:
                info = os.lstat(part)
            except OSError:
                return False
            if info.st_uid not in trusted:
                return False
            sticky = info.st_mode & stat.S_ISVTX
            if stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_IWOTH and not sticky:
                return False
    return True


def _runtime(environ: Mapping[str, str]) -> Iterator[Path]:
    chosen = environ.get("XDG_RUNTIME_DIR", "")
    if chosen:
        yield Path(chosen)
    yield RUNTIME / str(os.geteuid())


def _state(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where the user's state may lie; the same for all of his state directories."""
    with contextlib.suppress(KeyError):  # a container's user without an entry
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        if home != Path("/"):
            yield home / ".local" / "state"
    for name, rest in (("XDG_STATE_HOME", ()), ("HOME", (".local", "state"))):
        chosen = environ.get(name, "")
        if chosen:
            yield Path(chosen, *rest)
    chosen = environ.get("ERNIE_DEPLOY_HOME", "")
    if chosen:
        yield Path(chosen)


def _add(opened: dict[tuple[int, int], int], base: Path, names: tuple[str, ...]) -> bool:
    """Open the folder `names` below `base` into `opened`; False where it cannot be used."""
    try:
        descriptor = os.open(base, _OPEN_FOLDER)
        try:
            _verify(descriptor, 0o022)
            for name in names:
                inner = _inner(descriptor, name)
                os.close(descriptor)
                descriptor = inner
        except BaseException:
            os.close(descriptor)
            raise
    except OSError:
        return False
    info = os.fstat(descriptor)
    if (info.st_dev, info.st_ino) in opened:
        os.close(descriptor)
    else:
        opened[info.st_dev, info.st_ino] = descriptor
    return True


def _is_there(base: Path) -> bool:
    """True where the user's state folder can be trusted; made where the home has none yet."""
    home = base.parent.parent
    if base.parts[-2:] == (".local", "state") and is_trusted(home):
        try:
            for folder in (base.parent, base):
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
        except OSError:  # no such home, read-only, full
            return False
    return is_trusted(base)


def _inner(folder: int, name: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
    descriptor = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    try:
        _verify(descriptor, 0)
        if os.fstat(descriptor).st_mode & 0o7777 != 0o700:
            # Its owner opened it to others, or an old umask did: from here on they are out.
            os.fchmod(descriptor, 0o700)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _verify(folder: int, forbidden: int) -> None:
    info = os.fstat(folder)
    if info.st_uid != os.geteuid() or info.st_mode & forbidden:
        raise UnsafeError(0, "a folder that is not ours alone")


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _machine() -> str:
    """A name for this machine that can be a folder's."""
    try:
        with open(_MACHINE, encoding="ascii", errors="replace") as file:
            text = file.read(64).strip()
    except OSError:
        text = ""
    name = "".join(c for c in text or os.uname().nodename if c.isalnum() or c in "-_")
    return name or "machine"
