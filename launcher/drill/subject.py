"""The instance under test: its plan, its state as the keeper tells it, its processes by role."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher.codec import decode
from launcher.drill.planted import FaultControl
from launcher.errors import PreconditionError
from launcher.host.processes import Process, descendants, look
from launcher.host.sockets import listeners_on, owners
from launcher.instance import survivors
from launcher.instance.options import read_options
from launcher.instance.store import InstanceDir, view
from launcher.json_values import object_at
from launcher.keeper import command_line
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.control import Client
from launcher.keeper.identity import is_same_process
from launcher.keeper.state import STATE_SCHEMA, State
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan
from launcher.profile.secrets import resolve

ANSWER_TIMEOUT = 10.0
"""Seconds for the keeper to tell its state; it needs milliseconds."""


@dataclass(frozen=True)
class Subject:
    """A ready instance of this machine."""

    instance: InstanceDir
    plan: LaunchPlan
    key: str | None
    """The API key for the drill's own requests."""

    @classmethod
    def of(cls, instance: InstanceDir) -> Subject:
        """The subject of a drill.

        Raises:
            PreconditionError: the instance is not ready, is another machine's, or a secret of it
                cannot be resolved here.
        """
        state, _, note = view(instance)
        if state != InstanceState.READY:
            raise PreconditionError.of(
                "instance-not-ready",
                f"{instance.name} is {state}{f' ({note})' if note else ''}: a drill needs a ready"
                " instance",
                str(instance.folder),
                f"`ernie-deploy status {instance.name}`",
            )
        plan = instance.plan()
        name = plan.readiness.auth_secret
        reference = plan.secrets.get(name or "")
        key = resolve(reference) if reference is not None else None
        return cls(instance, plan, key)

    def state(self) -> State:
        """What the keeper tells now; the stored state where it does not answer."""
        try:
            client = Client(self.instance.folder, timeout=ANSWER_TIMEOUT)
        except OSError:
            return self._stored()
        try:
            reported = object_at(client.request("status"), "state")
            return decode(State, reported, "state", schema=STATE_SCHEMA, tolerant=True)
        except OSError:
            return self._stored()
        finally:
            client.close()

    def _stored(self) -> State:
        state = self.instance.state()
        if state is None:
            raise PreconditionError.of(
                "instance-not-ready",
                f"{self.instance.name} has no state",
                str(self.instance.folder),
            )
        return state

    # -- processes, each proved by its recorded pid and start -----------------------------------

    def keeper(self, state: State) -> ProcessClaim | None:
        """The living keeper."""
        process = survivors.keeper_of(self.instance.folder, state)
        return ProcessClaim.of(process) if process is not None else None

    def main(self, state: State) -> ProcessClaim | None:
        """The engine's first process."""
        engine = state.engine
        if engine is None or not is_same_process(engine.pid, engine.start):
            return None
        return ProcessClaim(engine.pid, engine.start)

    def worker(self, state: State) -> ProcessClaim | None:
        """The process that computes: the last below those whose death is the engine's.

        None where the engine has no such process beside its first one.
        """
        processes = [p for one in state.processes if (p := _living(one)) is not None]
        lines = command_line.read_all(processes)
        patterns = [re.compile(pattern) for pattern in self.plan.vital]
        vital = command_line.matching(processes, lines, patterns)
        forks = command_line.forks(processes, lines)
        workers = {
            p.pid: p for p in processes
            if p.pid in vital and p.pid not in forks and not lines[p.pid].startswith("/bin/sh")
            and (state.engine is None or p.pid != state.engine.pid)
        }  # fmt: skip
        parents = {p.parent for p in workers.values()}
        last = [p for p in workers.values() if p.pid not in parents]
        return ProcessClaim.of(max(last, key=lambda p: p.start)) if last else None

    def front_end(self, state: State) -> tuple[ProcessClaim, ...]:
        """The first process, and those of the engine that hold the API port."""
        main = self.main(state)
        if main is None:
            return ()
        inodes = [one.inode for one in listeners_on(self.api_port)]
        recorded = {one.pid: one for one in state.processes}
        holders = set(owners(inodes, [main.pid]).values())
        for pid in recorded:
            holders |= set(owners(inodes, [pid]).values())
        front = {main.pid: main, **{pid: recorded[pid] for pid in holders if pid in recorded}}
        return tuple(one for one in front.values() if is_same_process(one.pid, one.start))

    def tree(self, state: State) -> set[int]:
        """The pids of the keeper and of everything below it."""
        keeper = self.keeper(state)
        process = look(keeper.pid) if keeper is not None else None
        if process is None:
            return set()
        return {process.pid, *(p.pid for p in descendants(process))}

    # -- what the profile and the engine allow ---------------------------------------------------

    @property
    def api_port(self) -> int:
        """The port that clients use."""
        return self.plan.port(self.plan.readiness.port).number

    @property
    def restarts(self) -> bool:
        """Whether the profile's policy starts the engine again after it died."""
        return self.plan.restart.policy != "never" and self.plan.restart.max_restarts > 0

    @property
    def is_foreground(self) -> bool:
        """Whether the keeper was `up --foreground` itself, kept by systemd or a container."""
        return read_options(self.instance).foreground

    @property
    def faults(self) -> FaultControl:
        """The faults that the engine itself can play, where it declares any."""
        return FaultControl(self.plan.temporary_folder)


def _living(claim: ProcessClaim) -> Process | None:
    process = look(claim.pid)
    if process is None or process.start != claim.start or process.state in "ZX":
        return None
    return process
