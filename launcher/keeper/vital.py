"""The processes whose death is the end of their server: a worker, a cache manager."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from launcher.keeper import command_line, tree
from launcher.keeper.identity import Process


class VitalProcesses:
    """Those of an engine's tree whose command line matches one of the plan's patterns."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """None is known before the first look."""
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._lines: dict[int, str] = {}
        self._forks: set[int] = set()

    def look(self, processes: Sequence[Process], lines: Mapping[int, str]) -> None:
        """Take in the living tree and its command lines by pid."""
        vital = command_line.matching(processes, lines, self._patterns)
        # A process that is about to be told dead has no command line, and stays what it was.
        dying = {pid: line for pid, line in self._lines.items() if lines.get(pid) == ""}
        self._lines = {**vital, **dying}
        self._forks = command_line.forks(processes, lines)

    def line_of(self, process: Process) -> str | None:
        """The command line of a vital process that died; None where its death ends no server.

        So where it was only seen between fork and exec: then it was some helper.
        """
        if process.pid in self._forks and tree.died_after_exec(process):
            return None
        return self._lines.get(process.pid)
