"""The engine's first process: started with a clean slate, its output captured to the last byte."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from launcher.keeper import tree
from launcher.keeper.line_sampling import LONGEST, Attention
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.output import LogFile, Runs, Splitter
from launcher.keeper.own_cgroup import OwnCgroup
from launcher.plan.model import LaunchPlan

READ_AT_ONCE = 64 * 1024
"""Bytes taken from a pipe before the loop gets its turn again: lines may be one byte long, and
memory is short."""
PIPE_SIZE = 1024 * 1024
"""Bytes that the engine can write before it has to wait for us; what a user without privileges may
ask for, see pipe(7)."""
PAUSE = 0.01
"""Seconds in which the lines of an engine that writes them one by one come together: to be woken
costs more than to take a line."""


def prepare_folders(plan: LaunchPlan) -> None:
    """Make the folders that the plan names, all mode 0700.

    Raises:
        OSError: a folder cannot be made.
    """
    os.makedirs(plan.temporary_folder, mode=0o700, exist_ok=True)
    info = os.stat(plan.temporary_folder, follow_symlinks=False)
    if info.st_uid != os.getuid() or not stat.S_ISDIR(info.st_mode) or info.st_mode & 0o077:
        # All users write in /tmp: a folder made by another user would be readable to that user.
        raise PermissionError(f"{plan.temporary_folder} belongs to another user")
    for folder in (plan.log_folder, plan.cwd, *plan.folders):
        os.makedirs(folder, mode=0o700, exist_ok=True)


class EngineProcess:
    """One run of the plan's argv.

    Started in a session of its own with umask 077, with SIGINT, SIGHUP and the signal mask as a
    login shell would give them (whatever the keeper inherited), and without any descriptor of
    ours but its output pipes.
    """

    def __init__(
        self,
        loop: Loop,
        plan: LaunchPlan,
        env: Mapping[str, str],
        log: Path,
        attention: Attention,
        cgroup: OwnCgroup | None = None,
        observe: Callable[[Runs], None] | None = None,
    ) -> None:
        """Start it, in `cgroup` where that can be entered; `observe` gets every line.

        Raises:
            OSError: argv[0] cannot be executed.
        """
        self._loop = loop
        self._attention = attention
        self._observe = observe
        self._log = LogFile(log, plan.log_max_size, plan.log_keep)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # the engine would inherit the mask
        door = cgroup.open_door() if cgroup is not None else None
        try:
            self.process = subprocess.Popen(
                plan.argv,
                cwd=plan.cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                umask=0o077,
                preexec_fn=functools.partial(tree.begin_engine, os.getpid(), door),
                # No other thread runs yet.
            )
        finally:
            if door is not None:
                os.close(door)
        self.pid = self.process.pid
        self._streams: dict[int, tuple[str, Splitter]] = {}
        self._capacity: dict[int, int] = {}
        self._read_at: dict[int, float] = {}
        self._unpaused: dict[int, int] = {}
        self._pauses: dict[int, Timer] = {}
        for name, pipe in (("stdout", self.process.stdout), ("stderr", self.process.stderr)):
            if pipe is None:
                continue
            descriptor = pipe.fileno()
            os.set_blocking(descriptor, False)
            with contextlib.suppress(OSError):  # the user's limit is reached: a smaller one does
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
            self._capacity[descriptor] = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
            self._unpaused[descriptor] = 0
            self._streams[descriptor] = (name, Splitter())
            loop.add_reader(descriptor, functools.partial(self._readable, descriptor))

    @property
    def lost_bytes(self) -> int:
        """Bytes of output that could not be written, the disk being full."""
        return self._log.lost_bytes

    def _readable(self, descriptor: int) -> None:
        """Read; where little comes at a time, let more come together before the next look.

        The first line after a rest is read at once, and who fills much of the pipe in one pause is
        not kept waiting by another.
        """
        before, now = self._read_at.get(descriptor, 0.0), time.monotonic()
        self._read_at[descriptor] = now
        count = self._take(descriptor)
        if descriptor not in self._streams:
            return
        has_rested = now - before >= 2 * PAUSE
        unpaused = count + (0 if has_rested else self._unpaused[descriptor])
        capacity = self._capacity[descriptor]
        self._unpaused[descriptor] = unpaused
        if has_rested or count >= capacity // 16:
            return
        self._unpaused[descriptor] = 0
        if unpaused < capacity // 4:
            self._loop.remove_reader(descriptor)
            self._pauses[descriptor] = self._loop.call_later(
                PAUSE, functools.partial(self._resume, descriptor)
            )

    def _resume(self, descriptor: int) -> None:
        del self._pauses[descriptor]
        if descriptor in self._streams:
            self._loop.add_reader(descriptor, functools.partial(self._readable, descriptor))

    def _take(self, descriptor: int) -> int:
        """Take what is there, and return its length; 0 at the end, or when nothing is there."""
        name, splitter = self._streams[descriptor]
        try:
            data = os.read(descriptor, READ_AT_ONCE)
        except BlockingIOError:
            return 0
        runs = splitter.feed(data) if data else splitter.finish()
        self._record(name, runs)
        self._attention.lines("engine", name, runs)
        if data:
            self._attention.unfinished("engine", name, splitter.unfinished(LONGEST))
        else:
            self._forget(descriptor)
        return len(data)

    def _forget(self, descriptor: int) -> None:
        """Read no more of it."""
        pause = self._pauses.pop(descriptor, None)
        if pause is not None:
            pause.cancel()
        self._loop.remove_reader(descriptor)
        del self._streams[descriptor]

    def _record(self, name: str, runs: Runs) -> None:
        self._log.write(name, runs)
        if self._observe is not None:
            self._observe(runs)

    @property
    def ended(self) -> bool:
        """True once all its output has been taken and no process can write more."""
        return not self._streams

    def drain(self) -> None:
        """Take everything that has been written so far: the last words before a death.

        No more than the pipe holds: a process that lives on may write faster than we read.
        """
        for descriptor in list(self._streams):
            pieces = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) // READ_AT_ONCE + 1
            for _ in range(pieces):
                if descriptor not in self._streams or not self._take(descriptor):
                    break

    def close(self) -> None:
        """Take the rest and close the pipes."""
        self.drain()
        for descriptor, (name, splitter) in list(self._streams.items()):
            self._record(name, splitter.finish())
            self._forget(descriptor)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self._log.close()
