"""Undoing: whatever ends a drill, `kill -9` included, its faults are taken back.

What undoes a fault is written down before the fault: as data, into the pipe of a small process
(`python -m launcher.drill.undo`) that outlives the drill. It does what is left when the pipe ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import launcher
from launcher.codec import decode, encode
from launcher.errors import PreconditionError
from launcher.json_values import JsonObject, integer_at, object_at
from launcher.keeper.identity import is_same_process, send

DYING = 5.0
"""Seconds that a cgroup is not removed because a process in it is still ending."""
PATIENCE = 30.0
"""Seconds for the undoing process to end; it has only what the drill itself could not do."""


@dataclass(frozen=True)
class Continue:
    """SIGCONT to exactly this process."""

    pid: int
    start: int
    kind: Literal["continue"] = "continue"

    def perform(self) -> None:
        """Send it; nothing where the process is gone."""
        send(self.pid, self.start, signal.SIGCONT)


@dataclass(frozen=True)
class Unlink:
    """Remove a file that the drill has made."""

    path: str
    kind: Literal["unlink"] = "unlink"

    def perform(self) -> None:
        """Remove it; nothing where it is gone."""
        Path(self.path).unlink(missing_ok=True)


@dataclass(frozen=True)
class FileSizeLimit:
    """Give a process the limit on the size of its files (RLIMIT_FSIZE, soft) that it had."""

    pid: int
    start: int
    soft: int
    kind: Literal["file-size-limit"] = "file-size-limit"

    def perform(self) -> None:
        """Set it; nothing where the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            if is_same_process(self.pid, self.start):
                _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
                resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (self.soft, hard))


@dataclass(frozen=True)
class LeaveCgroup:
    """Lift the limit of a cgroup that the drill has made, empty it into `parent`, remove it."""

    folder: str
    parent: str
    limit_file: str
    unlimited: str
    kind: Literal["leave-cgroup"] = "leave-cgroup"

    def perform(self) -> None:
        """Do so; nothing where the cgroup is gone."""
        folder, end = Path(self.folder), time.monotonic() + DYING
        if not folder.is_dir():
            return
        (folder / self.limit_file).write_text(self.unlimited, encoding="ascii")
        while True:
            for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split():
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    Path(self.parent, "cgroup.procs").write_text(pid, encoding="ascii")
            try:
                folder.rmdir()
                break
            except OSError:  # a process in it is still ending
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)


@dataclass(frozen=True)
class Rewrite:
    """Write into a file of the kernel what it held before."""

    path: str
    text: str
    kind: Literal["rewrite"] = "rewrite"

    def perform(self) -> None:
        """Write it; nothing where the file is gone."""
        if os.path.exists(self.path):
            Path(self.path).write_text(self.text, encoding="ascii")


Action = Continue | Unlink | FileSizeLimit | LeaveCgroup | Rewrite


@dataclass(frozen=True)
class _Note:
    action: Action


class Undo:
    """Actions that take back what was done; each is performed once, the newest first."""

    def __init__(self) -> None:
        """Start the process that does what is left, should this one be killed."""
        env = {**os.environ, "PYTHONPATH": str(Path(launcher.__file__).resolve().parent.parent)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "launcher.drill.undo"], stdin=subprocess.PIPE, text=True,
            env=env, cwd="/", start_new_session=True,
        )  # fmt: skip
        self._actions: dict[int, Action] = {}
        self._count = 0

    def add(self, action: Action) -> int:
        """Write `action` down before the fault that it undoes; returns its number."""
        self._count += 1
        self._tell({"number": self._count, **object_at(encode(_Note(action)))})
        self._actions[self._count] = action
        return self._count

    def perform(self, number: int) -> None:
        """Undo one; nothing where that was done.

        Raises:
            PreconditionError: that is not possible; the process tries it again at the end.
        """
        action = self._actions.pop(number, None)
        if action is None:
            return
        try:
            action.perform()
        except OSError as error:
            raise PreconditionError.of(
                "fault-not-undone", f"a fault of the drill was not undone: {error}", action.kind,
                "undo it by hand: `kill -CONT`, or remove what is named here",
            ) from None  # fmt: skip
        self._tell({"done": number})

    def close(self) -> None:
        """Undo what is left; what fails here is tried by the process again."""
        try:
            for number in sorted(self._actions, reverse=True):
                self.perform(number)
        finally:
            if self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
            self._process.wait(PATIENCE)

    def _tell(self, message: JsonObject) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()


@contextmanager
def undone(undo: Undo, action: Action) -> Iterator[None]:
    """Note `action` before the block, and perform it after the block in any case."""
    number = undo.add(action)
    try:
        yield
    finally:
        undo.perform(number)


def main() -> None:
    """Note actions until the pipe ends, then perform those that were not done."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    actions: dict[int, Action] = {}
    for line in sys.stdin:
        message = object_at(json.loads(line))
        done = integer_at(message, "done")
        if done is not None:
            actions.pop(done, None)
        else:
            number = integer_at(message, "number") or 0
            actions[number] = decode(_Note, message, "undo", tolerant=True).action
    for number in sorted(actions, reverse=True):
        try:
            actions[number].perform()
        except OSError as error:
            sys.stderr.write(f"ernie-deploy: a fault of the drill was not undone: {error}\n")


if __name__ == "__main__":
    main()
