"""Which processes descend from which, from /proc."""

from __future__ import annotations

import os


def alive(pid: int) -> bool:
    return _state(pid) not in (None, b"Z")


def is_stopped(pid: int) -> bool:
    """True after SIGSTOP: it reacts to SIGKILL and SIGCONT only."""
    return _state(pid) in (b"T", b"t")


def _state(pid: int) -> bytes | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(root: int) -> list[int]:
    """Pids of ``root`` and of everything below it, from one walk over /proc."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stream:
                    parents[int(entry)] = int(stream.read().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    family = [root]
    for pid in family:
        family.extend(child for child, parent in parents.items() if parent == pid)
    return family
