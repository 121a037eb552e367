"""Which process is which: an identity that survives pid reuse, reboots and clock changes.

A process is ours only if its identity was recorded while its parentage was known, or it carries
the instance's token in its environment, or its session was recorded as ours while alive. Nothing
is signalled before that is proved through a pidfd.
"""

from __future__ import annotations

import os
import signal

from launcher.host.processes import (
    Process,
    children,
    descendants,
    environment,
    every_process,
    look,
    myself,
    this_host,
)

__all__ = [
    "FOLDER_VARIABLE",
    "LEFTOVERS_VARIABLE",
    "TOKEN_VARIABLE",
    "Process",
    "children",
    "descendants",
    "environment",
    "environment_token",
    "every_process",
    "is_same_process",
    "look",
    "myself",
    "send",
    "this_host",
]

TOKEN_VARIABLE = "ERNIE_DEPLOY_INSTANCE"  # noqa: S105 - a variable's name, not a secret
"""Variable that marks every process of an instance; its value is `<name>:<random>`."""
FOLDER_VARIABLE = "ERNIE_DEPLOY_FOLDER"
"""Variable that tells each of them the folder of its instance, which may be deleted."""

LEFTOVERS_VARIABLE = "ERNIE_DEPLOY_LEFTOVERS"
"""Variable that tells what its instance may leave behind; see `launcher.keeper.mark`."""


def is_same_process(pid: int, start: int) -> bool:
    """True while the process with this pid and start lives (a zombie does not)."""
    now = look(pid)
    return now is not None and now.start == start and now.state not in "ZX"


def environment_token(pid: int) -> str | None:
    """The instance token a process was started with, where it can still be read.

    setproctitle overwrites `/proc/PID/environ` (gunicorn's master does) unless SPT_NOENV=1 was
    set; a missing token therefore proves nothing.
    """
    return environment(pid, (TOKEN_VARIABLE,)).get(TOKEN_VARIABLE)


def send(pid: int, start: int, number: signal.Signals) -> bool:
    """Signal exactly that process; False where it is gone. Opens the pidfd first, then verifies."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not is_same_process(pid, start):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
