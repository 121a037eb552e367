"""Runs a command for its answer: with a deadline, a limit of output, and an end for all it started.

`subprocess.run` keeps whatever a command prints (`cat /dev/zero` fills the memory until the
deadline), and after its deadline it waits for every process that still holds the pipes.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LONGEST_OUTPUT = 1024 * 1024
"""Bytes of output that are kept where the caller names no other limit."""
_ERRORS = 4096
"""Bytes of standard error that are kept: its end, where the reason stands."""


@dataclass(frozen=True)
class Output:
    """What a command printed, and how it ended.

    `returncode` is None where it had to be ended: it was still running at the deadline
    (`timed_out`), or printed more than the limit (`too_long`; `stdout` has a byte more then).
    """

    returncode: int | None
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    too_long: bool = False

    @property
    def text(self) -> str:
        """Standard output as text; what is not UTF-8 is replaced."""
        return self.stdout.decode(errors="replace")

    @property
    def complaint(self) -> str:
        """The last line of standard error, at most 200 characters."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def run(
    argv: Sequence[str],
    *,
    deadline: float,
    limit: int = LONGEST_OUTPUT,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    terminal: bool = False,
) -> Output:
    """Run `argv` for at most `deadline` seconds and keep at most `limit` bytes of its output.

    The command gets a session of its own, except with `terminal`: a password manager may ask on
    the terminal that it was started from. When this returns or raises, the command has ended, and
    so has what it started as far as it stayed in its session (with `terminal`: in its tree).

    Raises:
        OSError: it cannot be started.
        ValueError: a word of `argv` holds a NUL.
    """
    end = time.monotonic() + deadline
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if env is None else dict(env),
        cwd=cwd,
        start_new_session=not terminal,
    )
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018
    kept = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    out, err = kept
    try:
        ended = _read(process, kept, out, end, limit)
        if ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
        code = process.returncode
    finally:
        _end(process, terminal=terminal)
    too_long = len(kept[out]) > limit
    return Output(code, kept[out], kept[err], code is None and not too_long, too_long)


def _read(
    process: subprocess.Popen[bytes], kept: dict[int, bytes], out: int, end: float, limit: int
) -> bool:
    """Read both pipes to their end; False at the deadline and beyond the limit.

    What the command started may hold the pipes after it: its own end is enough.
    """
    with contextlib.closing(selectors.DefaultSelector()) as selector:
        for descriptor in kept:
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        ending = os.pidfd_open(process.pid)
        try:
            selector.register(ending, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(0.0, end - time.monotonic()))
                if not ready:
                    return False
                names = [key.fd for key, _ in ready]
                if names == [ending]:
                    return True  # it has ended, and all that it wrote has been read
                for descriptor in names:
                    if descriptor == ending:
                        continue
                    chunk = os.read(descriptor, 65536)
                    if not chunk:
                        selector.unregister(descriptor)
                    elif descriptor == out:
                        kept[out] = (kept[out] + chunk)[: limit + 1]
                        if len(kept[out]) > limit:
                            return False
                    else:
                        kept[descriptor] = (kept[descriptor] + chunk)[-_ERRORS:]
        finally:
            os.close(ending)
    return True


def _end(process: subprocess.Popen[bytes], *, terminal: bool) -> None:
    """End the command if it runs, and what it started."""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if process.returncode is None:
        # Not reaped yet, so its number, its session's and its children's parent are still its own.
        if terminal:
            for pid in _tree(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tree(pid: int) -> list[int]:
    """The process and its descendants, stopped on the way down so that none slips away."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    pids = [pid]
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(word) for word in file.read(65536).split()]
    except OSError:
        children = []
    for child in children[:1000]:
        pids += _tree(child)
    return pids
