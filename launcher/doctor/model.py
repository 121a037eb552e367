"""The machine as the doctor asks it, and what a check's answer becomes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import engines, subprocesses
from launcher.engines.doctor_checks import (
    GIB,
    MIB,
    Answer,
    Check,
    Outcome,
    Subject,
    fail,
    gib,
    ok,
    unknown,
    warn,
)
from launcher.host import cgroups, gpus, kernel, memory, network, packages
from launcher.preparation.owners import Owners

if TYPE_CHECKING:
    from launcher.engines.base import Engine
    from launcher.host.cgroups import CgroupSupport
    from launcher.host.gpus import GpuReport
    from launcher.host.kernel import MessageQueue
    from launcher.host.memory import FileSystem, Limit, Memory
    from launcher.host.network import QueuePort
    from launcher.json_values import JsonObject

__all__ = [
    "GIB", "MIB", "Answer", "Check", "Finding", "Host", "Outcome", "Subject", "engine_of", "fail",
    "gib", "host_of", "ok", "unknown", "warn",
]  # fmt: skip


class Host:
    """Facts about this machine, each asked once and only when a check reads it."""

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
    def cgroup(self) -> CgroupSupport:
        """Where an engine could have a cgroup of its own."""
        return cgroups.support()

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

    def sysctl(self, name: str) -> int | None:
        """A kernel setting such as `kernel.msgmax`, None where there is none."""
        return kernel.sysctl(name)

    def variable(self, name: str) -> str | None:
        """A variable of this process's environment."""
        return os.environ.get(name)

    @property
    def open_files(self) -> int | None:
        """The most files that a process may open (RLIMIT_NOFILE, hard), None without a limit."""
        return kernel.limit("nofile")[1]

    def program_output(self, program: str, argument: str) -> str:
        """What a program prints; empty where it does not end well within 10 s.

        Raises:
            OSError: it cannot be started.
        """
        output = subprocesses.run([program, argument], deadline=10.0, cwd="/")
        return output.text if output.returncode == 0 else ""

    def site_packages(self, python: str) -> tuple[Path, ...]:
        """Folders from which an interpreter imports."""
        return packages.site_packages(python)

    def environment_facts(self, engine: str, python: str) -> JsonObject:
        """What our own installer noted beside the environment of `python`."""
        from launcher.environments import store

        facts = (e.facts for e in store.complete(engine) if e.python == python)
        return next(facts, {})


def engine_of(subject: Subject) -> Engine | None:
    """The engine of the profile, None without a profile."""
    return engines.get(subject.profile.engine) if subject.profile is not None else None


def host_of(subject: Subject) -> Host:
    """The machine with what only the doctor's own checks ask: queues and their owners.

    Raises:
        TypeError: the subject was made with other facts.
    """
    if not isinstance(subject.host, Host):
        raise TypeError(f"{type(subject.host).__name__} knows no owners")
    return subject.host


@dataclass(frozen=True)
class Finding:
    """A check's answer about a subject."""

    check: str
    title: str
    status: Answer
    evidence: str
    reason: str
    remedy: str | None
    fast: bool
