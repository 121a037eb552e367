"""What a check is, and what it says: one of four answers, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from launcher.engines.options import canonical
from launcher.host import gpus, kernel, memory, network
from launcher.host.gpus import GpuReport
from launcher.host.kernel import MessageQueue
from launcher.host.memory import FileSystem, Limit, Memory
from launcher.host.network import QueuePort
from launcher.preparation.owners import Owners

if TYPE_CHECKING:
    from launcher.engines.base import Engine, Installed
    from launcher.errors import Problem
    from launcher.plan.model import LaunchPlan
    from launcher.profile.model import Profile

Answer = Literal["PASS", "WARN", "FAIL", "UNKNOWN"]
MIB = 1024**2
GIB = 1024**3


class Host:
    """Facts about this machine, each asked once and only when a check wants it."""

    @cached_property
    def gpus(self) -> GpuReport:
        """Cards, driver and who holds their memory."""
        return gpus.query()

    @cached_property
    def memory(self) -> Memory:
        """Host memory and the container's limit."""
        return memory.read()

    @cached_property
    def pids(self) -> Limit:
        """The container's limit on tasks."""
        return memory.pids()

    @cached_property
    def shm(self) -> FileSystem | None:
        """The shared-memory file system."""
        return memory.shm()

    @cached_property
    def queues(self) -> tuple[MessageQueue, ...]:
        """System V message queues."""
        return kernel.message_queues()

    @cached_property
    def queue_ports(self) -> tuple[QueuePort, ...]:
        """Queue ports of FastDeploy servers on this host."""
        return network.queue_ports()

    @cached_property
    def owners(self) -> Owners:
        """Which instance of this user something belongs to."""
        return Owners()


@dataclass(frozen=True)
class Subject:
    """What is examined: this machine, and a profile with what came of it so far.

    `installed` and `plan` are None where they could not be had: `engine_problems` and
    `profile_problems` then say why. `auto_ports` names ports whose number is chosen at the start:
    their numbers in the plan are placeholders. `running`: an instance of this name is at work, and
    `keeper` is the process that holds its leases.
    """

    profile: Profile | None = None
    engine: Engine | None = None
    installed: Installed | None = None
    plan: LaunchPlan | None = None
    engine_problems: tuple[Problem, ...] = ()
    profile_problems: tuple[Problem, ...] = ()
    auto_ports: frozenset[str] = frozenset()
    running: bool = False
    keeper: int | None = None
    host: Host = field(default_factory=Host)

    def is_engine(self, *names: str) -> bool:
        """True where the profile's engine is one of `names`."""
        return self.profile is not None and self.profile.engine in names

    def argument(self, name: str) -> Any:
        """The value of an engine argument of the profile, None where it is not given.

        A flag may be spelled with underscores or with its dashes in front.
        """
        engine_args = self.profile.engine_args if self.profile else {}
        return next((v for key, v in engine_args.items() if canonical(key) == name), None)

    def number(self, name: str, default: float) -> float:
        """An engine argument as a number; `default` where it is absent or (see `profile`) wrong."""
        value = self.argument(name)
        try:
            return default if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            return default


@dataclass(frozen=True)
class Outcome:
    """What a check found: the answer, what was seen, and the remedy where something is to do."""

    answer: Answer
    evidence: str
    remedy: str | None = None


def ok(evidence: str) -> Outcome:
    """PASS."""
    return Outcome("PASS", evidence)


def warn(evidence: str, remedy: str) -> Outcome:
    """WARN: it may work, and the operator should know."""
    return Outcome("WARN", evidence, remedy)


def fail(evidence: str, remedy: str) -> Outcome:
    """FAIL: a start would fail or the server could not work."""
    return Outcome("FAIL", evidence, remedy)


def unknown(evidence: str, remedy: str | None = None) -> Outcome:
    """UNKNOWN: the question could not be answered here."""
    return Outcome("UNKNOWN", evidence, remedy)


@dataclass(frozen=True)
class Check:
    """A question about a subject.

    `function` returns None where the question does not arise. `fast` checks take milliseconds and
    are run by `up`. `engines` are those it is about, empty: any, or none.
    """

    id: str
    title: str
    why: str
    function: Callable[[Subject], Outcome | None]
    fast: bool = True
    engines: tuple[str, ...] = ()
    needs_profile: bool = True


@dataclass(frozen=True)
class Finding:
    """A check's answer about a subject."""

    check: str
    title: str
    answer: Answer
    evidence: str
    why: str
    remedy: str | None
    fast: bool


def gib(size: float) -> str:
    """A size for people: `12.3 GiB`, below one GiB in MiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
