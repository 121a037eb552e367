"""Short-lived processes of the keeper's own: started and watched by its loop, bounded in all.

A helper is no process of the engine: neither it nor what it starts is in the tree, in the state or
in a receipt. It gets its input as a file in memory, so that nothing of it is in an argv, and its
answer is what it prints, up to a limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from launcher import files
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.tree import Tree, exit_code

LAST_WAIT = 5.0
"""Seconds that the end of the keeper waits for all helpers together: incidents, last messages."""
PATIENCE = 2.0
"""Seconds from SIGTERM, on which a helper ends what it has started, to SIGKILL."""


@dataclass(frozen=True)
class Ended:
    """How a helper ended: its exit code (None: unknown), what it printed, and whether in time."""

    code: int | None
    output: bytes
    in_time: bool


class Helper:
    """One process; `on_end` is called once, from the loop."""

    def __init__(
        self,
        loop: Loop,
        tree: Tree,
        argv: Sequence[str],
        on_end: Callable[[Ended], None],
        *,
        env: Mapping[str, str],
        deadline: float,
        limit: int,
        stdin: bytes = b"",
        merge_errors: bool = False,
    ) -> None:
        """Start it; after `deadline` seconds, or `limit` bytes of output, it is ended.

        Its errors go where ours go, or with `merge_errors` into its output. Call it from the
        loop's thread only: the tree must not see the process before it knows whose it is.

        Raises:
            OSError: it cannot be started.
        """
        self._loop = loop
        self._tree = tree
        self._on_end = on_end
        self._limit = limit
        self._output = bytearray()
        self._in_time = True
        read, write = os.pipe2(os.O_CLOEXEC)
        memory = os.memfd_create("input")
        try:
            files.write_all(memory, stdin)
            os.lseek(memory, 0, os.SEEK_SET)
            self._process = subprocess.Popen(
                list(argv),
                stdin=memory,
                stdout=write,
                stderr=subprocess.STDOUT if merge_errors else None,
                cwd="/",
                env=dict(env),
                start_new_session=True,
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
            os.close(memory)
        tree.helpers.add(self._process.pid)
        os.set_blocking(read, False)
        self._pipe: int | None = read
        self._timer: Timer | None = None
        try:
            self._descriptor = os.pidfd_open(self._process.pid)
        except OSError:  # no descriptor is left; it must not run on unwatched
            self._process.kill()
            self._collect()
            self._close_pipe()
            raise
        self.running = True
        loop.add_reader(read, self._readable)
        loop.add_reader(self._descriptor, self._ended)
        self._timer = loop.call_later(deadline, self.end)

    def end(self) -> None:
        """Ask it to end, and see to it."""
        if not self.running:
            return
        self._in_time = False
        self._signal(signal.SIGTERM)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(PATIENCE, self.kill)

    def kill(self) -> None:
        """End it now."""
        if self.running:
            self._in_time = False
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """To it and to what it started, as far as that stayed in its process group."""
        with contextlib.suppress(ProcessLookupError):
            # While it has not been waited for, its number is its own, and so is its group's.
            signal.pidfd_send_signal(self._descriptor, number)
            with contextlib.suppress(PermissionError):
                os.killpg(self._process.pid, number)

    def _readable(self) -> None:
        if self._pipe is None:
            return
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        self._output += data[: self._limit - len(self._output)]
        if not data or len(self._output) >= self._limit:
            if data:
                self.end()
            self._close_pipe()

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None

    def _ended(self) -> None:
        self.running = False
        if self._timer is not None:
            self._timer.cancel()
        self._signal(signal.SIGKILL)
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        while self._pipe is not None:  # what it started may hold the pipe open: do not wait
            before = len(self._output)
            self._readable()
            if len(self._output) == before:
                self._close_pipe()
        code = self._collect()
        self._on_end(Ended(code, bytes(self._output), self._in_time))

    def _collect(self) -> int | None:
        """Its exit code; the tree may have collected it with the engine's children."""
        pid = self._process.pid
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            collected = self._tree.exits.pop(pid, None)
            code = None if collected is None else exit_code(collected)
        else:
            code = exit_code(status)
        self._process.returncode = code if code is not None else 0
        self._tree.helpers.discard(pid)
        return code
