"""Who adopts orphans: the process of the tests, as a keeper does, or init, as elsewhere."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.host import processes

_PR_SET, _PR_GET = 36, 37
"""PR_SET_CHILD_SUBREAPER and PR_GET_CHILD_SUBREAPER, linux/prctl.h."""


@contextmanager
def adopts_orphans(adopts: bool) -> Iterator[None]:
    """This process adopts orphans, or does not, for the length of a block; then as before.

    What it adopted and is dead by then is collected: no later test may take it for a process of
    its own engine.
    """
    libc, was = ctypes.CDLL(None), ctypes.c_int()
    libc.prctl(_PR_GET, ctypes.byref(was), 0, 0, 0)
    before = set(processes.children(os.getpid()))
    libc.prctl(_PR_SET, int(adopts), 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET, was.value, 0, 0, 0)
        for pid in processes.children(os.getpid()):
            process = processes.look(pid)
            if pid not in before and process is not None and process.state == "Z":
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
