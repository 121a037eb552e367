"""Makes the file operations of a command fail, one after the other, below one folder.

A `sitecustomize` puts an audit hook into the command's process: Python tells it of every open,
mkdir, rename and removal before the kernel is asked. `fsync` and `write` have no such event and
are wrapped.
"""

import errno
from pathlib import Path

ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO)

_HOOK = """
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

def wrapped(function):
    def call(descriptor, *more):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            path = ""
        step(function.__name__, path)
        return function(descriptor, *more)
    return call

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
