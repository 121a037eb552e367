"""What a check of `doctor` is, and what an engine tells of its needs: the words of both.

An engine gives checks of its own (`Engine.doctor_checks`) and says what its server needs of a
machine (`Engine.needs`), which the checks for every engine compare with the machine. A check is a
pure function over a `Subject`; what it wants to know of the machine it reads from `Subject.host`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from launcher.engines.options import canonical

if TYPE_CHECKING:
    from launcher.engines.release import Installed
    from launcher.errors import Problem
    from launcher.host.cgroups import CgroupSupport
    from launcher.host.gpus import Gpu, GpuReport
    from launcher.host.memory import FileSystem, Limit, Memory
    from launcher.json_values import JsonObject, JsonValue
    from launcher.plan.model import LaunchPlan
    from launcher.profile.model import Profile

Answer = Literal["PASS", "WARN", "FAIL", "UNKNOWN"]
Group = Literal[
    "software", "model", "gpu", "memory", "kernel", "network", "leftovers", "disk", "time",
    "endpoint", "exposure",
]  # fmt: skip
"""What a check is about; doctor shows them in this order."""
MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True)
class Compiler:
    """Whether a C compiler must be on PATH. `reason` says why (not); `remedy` where it must."""

    needed: bool
    reason: str
    remedy: str = ""


@dataclass(frozen=True)
class Download:
    """Where the hub model of a profile comes from, and where it is put.

    `names` are the folders below `folder` that an earlier download may have made, `host` is the
    hub's host name.
    """

    folder: Path
    names: tuple[str, ...]
    host: str


@dataclass(frozen=True)
class Needs:
    """What a server of one profile needs of a machine.

    `gpu`: it does not work without one. `ranks` is the number of worker processes here, each with
    a GPU of its own, `gpu_share` the part of each GPU's memory that a server takes. `driver` and
    `cuda` are the oldest that its wheels work with, None: not known. `cpu`: the
    profile asks for a CPU. `streams`: weights go to the GPU one by one; otherwise host memory holds
    all of them while they are loaded, and `stream_remedy` says how to change that. `start` is the
    seconds that a start takes with nothing to load, None: not known. `asks_key`: the API is
    guarded by a key.
    """

    gpu: bool = False
    ranks: int = 1
    gpu_share: float = 0.9
    driver: int | None = None
    cuda: tuple[int, int] | None = None
    cpu: bool = False
    streams: bool = True
    stream_remedy: str = ""
    start: float | None = None
    asks_key: bool = False
    compiler: Compiler | None = None
    download: Download | None = None


class HostFacts(Protocol):
    """What a check may know of the machine; each fact is asked once, when a check reads it."""

    @property
    def gpus(self) -> GpuReport:
        """Cards, driver and the processes that hold their memory."""
        ...

    @property
    def memory(self) -> Memory:
        """Host memory and the container's limit."""
        ...

    @property
    def pids(self) -> Limit:
        """The container's limit on tasks."""
        ...

    @property
    def cgroup(self) -> CgroupSupport:
        """Where an engine could have a cgroup of its own."""
        ...

    @property
    def shm(self) -> FileSystem | None:
        """The shared-memory file system."""
        ...

    def sysctl(self, name: str) -> int | None:
        """A kernel setting such as `kernel.msgmax`, None where there is none."""
        ...

    def variable(self, name: str) -> str | None:
        """A variable of the caller's environment, which the server may inherit."""
        ...

    @property
    def open_files(self) -> int | None:
        """The most files that a process may open (RLIMIT_NOFILE, hard), None without a limit."""
        ...

    def program_output(self, program: str, argument: str) -> str:
        """What a program prints; empty where it does not end well within 10 s."""
        ...

    def site_packages(self, python: str) -> tuple[Path, ...]:
        """Folders from which an interpreter imports."""
        ...

    def environment_facts(self, engine: str, python: str) -> JsonObject:
        """What `engine install` noted beside the environment of `python`; empty where nothing."""
        ...


@dataclass(frozen=True)
class Subject:
    """What is examined: this machine, and a profile with what came of it so far.

    `installed` and `plan` are None where they could not be had: `engine_problems` and
    `profile_problems` then say why. `auto_ports` names ports whose number is chosen at the start:
    their numbers in the plan are placeholders. `running`: an instance of this name is at work, and
    `keeper` is the process that holds its leases. `needs` is what the engine says of the profile.
    """

    host: HostFacts
    profile: Profile | None = None
    installed: Installed | None = None
    plan: LaunchPlan | None = None
    engine_problems: tuple[Problem, ...] = ()
    profile_problems: tuple[Problem, ...] = ()
    auto_ports: frozenset[str] = frozenset()
    running: bool = False
    keeper: int | None = None
    needs: Needs = field(default_factory=Needs)

    @property
    def line(self) -> str | None:
        """The release line that is installed (`2.3`), None where none is."""
        if self.installed is None or self.installed.release is None:
            return None
        return self.installed.release.line

    def used_gpus(self) -> list[Gpu]:
        """The cards that the server will see: of `gpus`, else of CUDA_VISIBLE_DEVICES, else all."""
        cards = self.host.gpus.gpus
        chosen = self.profile.gpus if self.profile else None
        value = self.host.variable("CUDA_VISIBLE_DEVICES") if chosen is None else None
        if value is not None:
            chosen = tuple(item.strip() for item in value.split(","))
        if chosen is None:
            return list(cards)
        return [g for g in cards if str(g.index) in chosen or g.uuid in chosen]

    def argument(self, name: str) -> JsonValue:
        """The value of an engine argument of the profile, None where it is not given.

        A flag may be spelled with underscores or with its dashes in front.
        """
        engine_args = self.profile.engine_args if self.profile else {}
        return next((v for key, v in engine_args.items() if canonical(key) == name), None)


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
    are run by `up`. `runs` says for which engines: those that run on this machine, those that are
    reached by their address only, or both.
    """

    id: str
    title: str
    why: str
    function: Callable[[Subject], Outcome | None]
    group: Group
    fast: bool = True
    needs_profile: bool = True
    runs: Literal["here", "elsewhere", "anywhere"] = "here"


def gib(size: float) -> str:
    """A size for people: `12.3 GiB`, below one GiB in MiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def share_of(value: JsonValue, default: float) -> float:
    """An engine argument as a number; `default` where it is absent or not a number."""
    try:
        return default if isinstance(value, bool) else float(str(value))
    except ValueError:
        return default
