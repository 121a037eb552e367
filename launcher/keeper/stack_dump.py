"""Where an engine that hangs stands: its threads in the kernel, and its Python stacks by py-spy.

Taken while the engine still lives, so before it is ended, and bounded: the end waits for it
`LONGEST` seconds at most. Neither stops nor changes the engine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from launcher import files
from launcher.host import processes
from launcher.host.processes import Process
from launcher.keeper.command_line import program, read_all
from launcher.keeper.helper_process import Ended, Helper
from launcher.keeper.loop import Loop
from launcher.keeper.tree import Tree

LONGEST = 3.0
"""Seconds that the end of a hanging engine waits for its stacks."""
MOST_PROCESSES = 8
"""Processes whose Python stacks are taken: the first ones, and so its parent and ranks."""
MOST_THREADS = 1000
"""Threads of all processes together that are listed."""
LARGEST_STACKS = 128 * 1024
"""Bytes of one process's Python stacks."""
LARGEST_THREADS = 512 * 1024
"""Bytes of the list of threads."""


def find_py_spy(python: str, environ: Mapping[str, str]) -> str | None:
    """py-spy beside our interpreter, in the engine's environment or on PATH; None without one."""
    beside = (os.path.dirname(sys.executable), os.path.dirname(python))
    for folder in beside:
        program = os.path.join(folder, "py-spy")
        if folder and os.access(program, os.X_OK) and os.path.isfile(program):
            return program
    return shutil.which("py-spy", path=environ.get("PATH", os.defpath))


class StackDump:
    """One dump, begun at once; `done` when everything is written or given up."""

    def __init__(
        self,
        loop: Loop,
        tree: Tree,
        folder: Path,
        py_spy: str | None,
        note: Callable[[str], None],
    ) -> None:
        """Begin; files go to `folder`, and what could not be had to `note`."""
        self._loop = loop
        self._folder = folder
        self._note = note
        self._end = time.monotonic() + LONGEST
        self._helpers: list[Helper] = []
        found = list(tree.processes)
        lines = read_all(found)
        self._thread: threading.Thread | None = threading.Thread(
            target=self._list_threads, args=(found, lines), daemon=True
        )
        self._thread.start()
        if py_spy is None:
            note("py-spy is not installed: threads.txt shows where the threads wait in the kernel")
            return
        for process in [one for one in found if _is_python(one)][:MOST_PROCESSES]:
            self._start_py_spy(tree, py_spy, process.pid)

    @property
    def done(self) -> bool:
        """Whether nothing more will come, or its time is over."""
        running = any(helper.running for helper in self._helpers)
        return not (running or self._thread is not None) or time.monotonic() >= self._end

    def wait(self) -> None:
        """Return when it is done; called from outside the loop's callbacks."""
        self._loop.run_until(lambda: self.done, max(0.0, self._end - time.monotonic()))

    def close(self) -> None:
        """End what still runs."""
        for helper in self._helpers:
            helper.kill()

    def _start_py_spy(self, tree: Tree, py_spy: str, pid: int) -> None:
        # It reads the memory of the process and does not stop it: under `on-stall: report` a
        # server that only seems to hang is not disturbed.
        argv = [py_spy, "dump", "--nonblocking", "--pid", str(pid)]

        def ended(end: Ended) -> None:
            if end.code == 0 and end.output:
                self._store(f"stacks-{pid}.txt", end.output)
                return
            lines = end.output.decode(errors="replace").strip().splitlines()
            reason = lines[-1][:200] if lines else "no output"
            if not end.in_time:
                reason = f"it did not end within {LONGEST:g} s"
            self._note(f"py-spy has no stacks of process {pid}: {reason}")

        try:
            helper = Helper(
                self._loop, tree, argv, ended, env={"PATH": os.defpath}, deadline=LONGEST,
                limit=LARGEST_STACKS, merge_errors=True,
            )  # fmt: skip
        except OSError as error:
            self._note(f"py-spy cannot be started: {error}")
            return
        self._helpers.append(helper)

    def _list_threads(self, found: Sequence[Process], lines: Mapping[int, str]) -> None:
        """In a thread: a kernel with thousands of threads takes its time."""
        text, size = [], 0
        for line in _thread_lines(found, lines, self._end):
            size += len(line) + 1
            if size > LARGEST_THREADS:
                break
            text.append(line)
        self._store("threads.txt", "\n".join([*text, ""]).encode())
        self._loop.call_soon(self._listed)

    def _listed(self) -> None:
        self._thread = None

    def _store(self, name: str, data: bytes) -> None:
        """Without fsync, which may take a second; a full disk loses it, and no more."""
        with contextlib.suppress(OSError):
            descriptor = files.open_append(self._folder / name)
            try:
                files.write_all(descriptor, data)
            finally:
                os.close(descriptor)


def _is_python(process: Process) -> bool:
    return "python" in os.path.basename(processes.program_file(process.pid))


def _thread_lines(found: Sequence[Process], lines: Mapping[int, str], end: float) -> Iterator[str]:
    count = 0
    for process in found:
        name = program(lines.get(process.pid, ""), process.name)
        yield f"process {process.pid} ({name}), state {process.state}"
        try:
            for thread in processes.threads(process.pid):
                count += 1
                if count > MOST_THREADS or time.monotonic() >= end:
                    yield "  (the rest is left out)"
                    return
                yield (
                    f"  thread {thread.tid} {thread.name!r} {thread.state};"
                    f" waits in {thread.wchan or '?'}; system call {thread.syscall or '?'}"
                )
                yield from (f"    {frame}" for frame in thread.stack.splitlines())
        except OSError:
            yield "  (its threads cannot be looked at: no file descriptor is left)"
