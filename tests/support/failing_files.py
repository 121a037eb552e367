"""Makes the file operations of a command or of a keeper fail, one after the other.

A `sitecustomize` puts an audit hook into the process: Python tells it of every open, mkdir,
rename, removal and bind before the kernel is asked. `fsync` and `write` have no such event and are
wrapped.
"""

import errno
import shlex
import sys
from pathlib import Path

EVERY_ERROR = (
    errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOENT
)  # fmt: skip
ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO)

_WRAPPED = """
def wrapped(function):
    def call(descriptor, *more):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            path = ""
        step(function.__name__, path)
        return function(descriptor, *more)
    return call
"""
"""What both hooks need for `fsync` and `write`; each has a `step` of its own."""

_HOOK = (
    _WRAPPED
    + """
import os, sys

below = os.environ["FAIL_BELOW"]
first, only = int(os.environ["FAIL_AT"]), os.environ["FAIL_ONCE"] == "1"
number = int(os.environ["FAIL_ERRNO"])
count = 0
ours = set()

def step(what, path):
    global count
    path = os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes)) else ""
    if not (path == below or path.startswith(below + "/")):
        return
    count += 1
    if count == first or (count > first and not only):
        raise OSError(number, os.strerror(number), path)

def hook(event, args):
    if event == "open" and isinstance(args[2], int):
        if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            step(event, args[0])
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.chmod", "os.truncate"):
        step(event, args[0])

if os.path.basename(sys.argv[0] if hasattr(sys, "argv") else "") != "pip":
    os.fsync, os.write = wrapped(os.fsync), wrapped(os.write)
    sys.addaudithook(hook)
    import atexit
    log = os.environ["FAIL_COUNT"]
    if not os.path.exists(log):
        def note(pid=os.getpid()):
            if os.getpid() == pid and not os.path.exists(log):
                with open(log, "w") as file:
                    file.write(str(count))
        atexit.register(note)
"""
)


class FailingFiles:
    """The environment of a command whose n-th file operation below `below` fails."""

    def __init__(self, folder: Path, below: Path, pythonpath: str) -> None:
        self.folder, self.below = folder, below
        self._path = f"{folder}:{pythonpath}"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_HOOK)

    def env(self, at: int, error: int, *, once: bool = False) -> dict[str, str]:
        """Operation `at` and all that follow fail with `error`; `once` only that one."""
        return {
            "PYTHONPATH": self._path,
            "FAIL_BELOW": str(self.below),
            "FAIL_AT": str(at),
            "FAIL_ONCE": str(int(once)),
            "FAIL_ERRNO": str(error),
            "FAIL_COUNT": str(self.folder / "count"),
        }

    def counted(self) -> int:
        """Operations of the command that ran last with `at=0`."""
        path = self.folder / "count"
        number = int(path.read_text())
        path.unlink()
        return number


_KEEPER_HOOK = (
    _WRAPPED
    + """
import os, re, sys

roots = (os.environ["FAIL_BELOW"] + "/", "/tmp/ed-")
kind, nth = os.environ["FAIL_KIND"], int(os.environ["FAIL_AT"])
only = os.environ["FAIL_ONCE"] == "1"
number, log = int(os.environ["FAIL_ERRNO"]), os.environ["FAIL_LOG"]
count, failing, me = 0, False, os.getpid()

def name(path):
    if path.startswith(roots[1]):
        return "temporary folder" if path.count("/") == 2 else "in temporary folder"
    last = re.sub(r"\\.\\d+$", "", os.path.basename(path))
    return "incident" if re.fullmatch(r"\\.?\\d{8}-\\d{6}-[0-9a-f]+", last) else last

def resolved(path, folder=-1):
    if not isinstance(path, (str, bytes)):
        return ""
    path = os.fsdecode(path)
    parent = re.match(r"/proc/self/fd/(\\d+)/", path)
    if parent:
        folder, path = int(parent[1]), path[parent.end():]
    if isinstance(folder, int) and folder >= 0 and not path.startswith("/"):
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    return os.path.abspath(path)

def step(what, path):
    global count, failing
    if os.getpid() != me or not path.startswith(roots):
        return
    this = f"{what} {name(path)}"
    with open(log, "a") as file:
        file.write(this + "\\n")
    if failing and path.startswith(roots[0]):
        raise OSError(number, os.strerror(number), path)
    if this == kind:
        count += 1
        if count == nth:
            failing = not only
            raise OSError(number, os.strerror(number), path)

def hook(event, args):
    if event == "open" and isinstance(args[2], int):
        if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            step(event, resolved(args[0]))
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"):
        step(event, resolved(args[0], args[-1]))
    elif event == "os.rename":
        step(event, resolved(args[0], args[2]))
    elif event == "socket.bind":
        step(event, resolved(args[1]))

if "launcher.keeper" in sys.orig_argv:
    os.fsync, os.write = wrapped(os.fsync), wrapped(os.write)
    sys.addaudithook(hook)
"""
)

_BY_THE_SHIM = """
import os, sys

if "launcher" in sys.orig_argv:
    sys.executable = os.environ["FAIL_KEEPER"]
"""


class FailingKeeper:
    """The environment of an `up` whose keeper meets a failing file operation.

    The keeper is started by the interpreter that started `up`; in its place stands a shim that
    puts the hook into the keeper and into nothing else.
    """

    def __init__(self, folder: Path, home: Path, pythonpath: str) -> None:
        folder.mkdir()
        self.log = folder / "log"
        self._home = home
        inner, outer = folder / "inner", folder / "outer"
        for part, text in ((inner, _KEEPER_HOOK), (outer, _BY_THE_SHIM)):
            part.mkdir()
            (part / "sitecustomize.py").write_text(text)
        self._shim = folder / "python"
        self._shim.write_text(
            f'#!/bin/sh\nPYTHONPATH={inner}:$PYTHONPATH exec {shlex.quote(sys.executable)} "$@"\n'
        )
        self._shim.chmod(0o700)
        self._path = f"{outer}:{pythonpath}"

    def env(self, kind: str, nth: int, error: int, *, once: bool) -> dict[str, str]:
        """The `nth` operation of that kind fails; unless `once`, all later ones in the home too."""
        self.log.write_text("")
        return {
            "PYTHONPATH": self._path,
            "FAIL_KEEPER": str(self._shim),
            "FAIL_BELOW": str(self._home),
            "FAIL_KIND": kind,
            "FAIL_AT": str(nth),
            "FAIL_ONCE": str(int(once)),
            "FAIL_ERRNO": str(error),
            "FAIL_LOG": str(self.log),
        }

    def operations(self) -> list[str]:
        """What the keeper did since `env`, in order: `rename .state.json`."""
        return self.log.read_text().splitlines()
