"""Which processes of a tree are of a kind, by their command lines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from launcher.host.processes import Process, command_line


def read_all(processes: Iterable[Process]) -> dict[int, str]:
    """Command line by pid."""
    return {process.pid: command_line(process.pid) for process in processes}


def matching(
    processes: Sequence[Process], lines: Mapping[int, str], patterns: Sequence[re.Pattern[str]]
) -> dict[int, str]:
    """Command line by pid of those that match one of `patterns`."""
    matched = {}
    for process in processes:
        line = lines.get(process.pid, "")
        if line and any(pattern.search(line) for pattern in patterns):
            matched[process.pid] = line
    return matched


def forks(processes: Sequence[Process], lines: Mapping[int, str]) -> set[int]:
    """Those with the command line of their parent.

    Such a process was forked and has not executed a program of its own: not yet, or it never will.
    """
    return {p.pid for p in processes if lines.get(p.pid) and lines[p.pid] == lines.get(p.parent)}


def program(line: str, name: str) -> str:
    """What a process runs: the script behind its interpreter; `name` where `line` is empty."""
    argv = [os.path.basename(word) for word in line.split() if not word.startswith("-")]
    return next((word for word in argv[1:] if word), name)
