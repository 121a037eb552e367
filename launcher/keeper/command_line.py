"""Which processes of a tree are of a kind, by their command lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from launcher.keeper.identity import Process

LONGEST = 64 * 1024
"""Bytes of a command line that are read: the script's name stands after the interpreter's path."""


def read(pid: int) -> str:
    """The command line of a process, words separated by spaces; empty where it has none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            raw = file.read(LONGEST)
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def read_all(processes: Iterable[Process]) -> dict[int, str]:
    """Command line by pid."""
    return {process.pid: read(process.pid) for process in processes}


def matching(
    processes: Sequence[Process], lines: Mapping[int, str], patterns: Sequence[re.Pattern[str]]
) -> dict[int, str]:
    """Command line by pid of those that match one of `patterns`.

    A process that has the same command line as its parent is left out: it is a fork that has not
    executed its program yet, or a helper, and its end says nothing about its parent.
    """
    found = {}
    for process in processes:
        line = lines.get(process.pid, "")
        if line and line != lines.get(process.parent) and any(p.search(line) for p in patterns):
            found[process.pid] = line
    return found
