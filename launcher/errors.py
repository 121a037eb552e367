"""The errors of ernie-deploy and their exit codes.

    DeployError                 one or more problems and an exit code
    |-- UsageError              2    the command line is wrong
    |-- ProfileError            2    the profile is wrong (every problem at once)
    |-- PreconditionError       3    the world is not ready: port, model, engine, disk, lock
    `-- DeadlineError           5    a deadline passed

The end of an engine (4: it did not start, 6: it was ready and died) is not an exception: the
keeper decides it, and a verb returns it as a result.

Anything else that reaches the top is a defect of ours: exit code 70 and a crash report.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class ExitCode(enum.IntEnum):
    """The documented exit codes; docs/commands.md has the same table."""

    DONE = 0
    NEGATIVE = 1
    USAGE = 2
    PRECONDITION = 3
    DID_NOT_START = 4
    DEADLINE = 5
    DIED = 6
    DEFECT = 70
    INTERRUPTED = 130
    TERMINATED = 143


LONGEST_TEXT = 2000
"""Characters of a problem's message, place and remedy, each."""


def shorten(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text` without its middle where it has more than `longest` characters."""
    if len(text) <= longest:
        return text
    half = longest // 2 - 20
    return f"{text[:half]} [{len(text) - 2 * half} characters] {text[-half:]}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, told so that the reader can fix it.

    `code` is a stable word for programs ("unknown-key"). `where` is `file:line:column`, a key's
    path, an option or a file, as precise as is known. `remedy` is what to do, as a command or a
    profile line where one exists.
    """

    code: str
    message: str
    where: str | None = None
    remedy: str | None = None

    def __post_init__(self) -> None:
        """Cut what quotes a very long key, value or file name: the reader needs its two ends."""
        for name in ("message", "where", "remedy"):
            value = getattr(self, name)
            if value is not None and len(value) > LONGEST_TEXT:
                object.__setattr__(self, name, shorten(value))

    def text(self) -> str:
        """The problem on one line, `where: message (remedy)`, as compilers print it."""
        head = f"{self.where}: " if self.where else ""
        tail = f"\n    {self.remedy}" if self.remedy else ""
        return f"{head}{self.message}{tail}"


class DeployError(Exception):
    """Expected failure: shown as its problems, never as a traceback."""

    exit_code: ExitCode = ExitCode.PRECONDITION

    partial: Any = None
    """Where reading a profile failed: the `Profile` without its wrong keys, to look on in."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        """Keep the problems, of which there is at least one."""
        self.problems: tuple[Problem, ...] = (
            (problems,) if isinstance(problems, Problem) else tuple(problems)
        )
        super().__init__("; ".join(p.text() for p in self.problems))

    @classmethod
    def of(
        cls, code: str, message: str, where: str | None = None, remedy: str | None = None
    ) -> DeployError:
        """Shorthand for an error with a single problem."""
        return cls(Problem(code, message, where, remedy))


class UsageError(DeployError):
    """The command line is wrong."""

    exit_code = ExitCode.USAGE


class ProfileError(DeployError):
    """The profile is wrong; carries every problem found, in file order."""

    exit_code = ExitCode.USAGE


class PreconditionError(DeployError):
    """Something outside the profile stands in the way: a port, the model, the engine, a lock."""

    exit_code = ExitCode.PRECONDITION


class DeadlineError(DeployError):
    """A deadline from the profile or the command line passed."""

    exit_code = ExitCode.DEADLINE
