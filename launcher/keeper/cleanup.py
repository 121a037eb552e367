"""The end of an instance without or after its keeper: strays, leftovers, and the receipt."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence

from launcher.host.processes import summary
from launcher.host.sockets import holder, listeners_on
from launcher.keeper import identity, leftovers, sessions
from launcher.keeper.claim import FileClaim, QueueClaim
from launcher.keeper.identity import Process
from launcher.keeper.own_cgroup import OwnCgroup
from launcher.keeper.receipt import Receipt
from launcher.keeper.state import State
from launcher.plan.model import PortUse

KILL_DEADLINE = 10.0
"""Seconds until a SIGKILLed process that is still there is reported: it hangs in the kernel."""


def strays(state: State) -> list[Process]:
    """Every living process that is proved to be of this instance.

    Proofs: the recorded pid and start ticks; the instance's token in its environment; a session
    that was recorded and has lived on since; birth in the engine's own cgroup; or descent from one
    of these. Never the calling process.
    """
    host = identity.this_host()
    here = (host.machine, host.boot, host.pid_namespace)
    if (state.machine, state.boot, state.pid_namespace) != here:
        return []
    recorded = {(p.pid, p.start) for p in state.processes}
    everything = [p for p in identity.every_process() if p.state not in "ZX"]
    ours = sessions.still_ours(sessions.claims_of(state.sessions), everything, recorded)
    members = _born_in_cgroup(state)
    by_pid: dict[int, Process] = {}
    for process in everything:
        if (
            (process.pid, process.start) in recorded
            or process.session in ours
            or (process.pid in members and is_orphan(state, process))
            or (state.token and identity.environment_token(process.pid) == state.token)
        ):
            for one in (process, *identity.descendants(process)):
                if one.state not in "ZX":
                    by_pid[one.pid] = one
    own = {os.getpid(), os.getppid()}
    keeper = (state.keeper.pid, state.keeper.start) if state.keeper else None
    return [p for p in by_pid.values() if p.pid not in own and (p.pid, p.start) != keeper]


def _born_in_cgroup(state: State) -> set[int]:
    """The processes in the engine's own cgroup."""
    own = OwnCgroup.recorded(state.cgroup, state.token)
    return own.members() if own is not None else set()


def is_orphan(state: State, process: Process) -> bool:
    """True for a process in the engine's cgroup that has lost its parents there.

    It is not older than the engine, and was adopted as orphans are (`systemd --user` adopts too).
    What was moved into the cgroup still has the parent that it was started by.
    """
    if state.engine is None or not 0 < state.engine.start <= process.start:
        return False
    if process.parent in (0, 1):
        return True
    parent = identity.look(process.parent)
    return parent is not None and parent.name == "systemd"


def kill_cgroup(state: State) -> bool:
    """SIGKILL to all of the engine's own cgroup; False where there is none, or it has others' too.

    For where SIGKILL to each known process did not end them.
    """
    own = OwnCgroup.recorded(state.cgroup, state.token)
    return own is not None and own.kill(lambda process: is_orphan(state, process))


def kill(processes: Sequence[Process]) -> list[Process]:
    """SIGKILL exactly these, wait for their end; returns those that do not go."""
    poller = select.poll()
    open_ones: dict[int, Process] = {}
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        if not identity.is_same_process(process.pid, process.start):
            os.close(descriptor)
            continue
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        poller.register(descriptor, select.POLLIN)
        open_ones[descriptor] = process
    end = time.monotonic() + KILL_DEADLINE
    while open_ones and (left := end - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            poller.unregister(descriptor)
            os.close(descriptor)
            del open_ones[descriptor]
    for descriptor in open_ones:
        os.close(descriptor)
    return list(open_ones.values())


def kill_strays(state: State) -> tuple[int, list[Process]]:
    """Kill all that is proved to be of this instance; (how many were killed, what is left)."""
    killed = 0
    for _ in range(5):
        processes = strays(state)
        if not processes:
            return killed, []
        killed += len(processes)
        stuck = kill(processes)
        if stuck:
            kill_cgroup(state)
            return killed, stuck
    if kill_cgroup(state):
        left = strays(state)
        return killed + len(left), kill(left)
    return killed, strays(state)


def clean(
    state: State, ports: Sequence[PortUse], started: float, keep: str | None = None
) -> Receipt:
    """Remove what is claimed in `state` and write the receipt.

    `keep` is the folder that a restart will use: it is emptied and stays.

    The receipt counts what is left of processes, ports, shm, queues and temporary paths (all 0
    when the instance went away without a trace), the seconds since `started` (monotonic), and
    names what was found but not touched because it is not ours.
    """
    left_processes = strays(state)
    own = OwnCgroup.recorded(state.cgroup, state.token)
    if own is not None and own.remove():
        state.cgroup = own = None
    shm = [c for c in state.shm if not leftovers.remove_file(c)]
    pids = [p.pid for p in left_processes]
    queues: list[QueueClaim] = []
    temporary: list[FileClaim] = []
    shared: list[str] = []
    for claim in state.queues:
        user = leftovers.queue_user(claim, pids)
        if user is not None:
            shared.append(f"message queue {claim.id} is used by pid {user} as well")
        elif not leftovers.remove_queue(claim):
            queues.append(claim)
    for folder in state.temporary:
        other_users = leftovers.used_by_others(folder, pids)
        if other_users:
            shared.append(f"{folder.path} is used by pid {other_users[0]} as well")
        elif not (leftovers.empty if folder.path == keep else leftovers.remove_file)(folder):
            temporary.append(folder)
    foreign = [c.path for c in (*shm, *temporary) if not leftovers.still_there(c)]
    foreign += shared
    if own is not None:
        foreign.append(f"the cgroup {own.path} has processes: {sorted(own.members())}")
    shm = [c for c in shm if leftovers.still_there(c)]
    temporary = [c for c in temporary if leftovers.still_there(c)]
    left_ports = []
    for use in ports:
        for listener in listeners_on(use.number):
            pid = holder(listener.inode, pids)
            if pid is not None:
                left_ports.append(use.number)
            else:
                foreign.append(f"port {use.number} is held by another program")
    details = [f"process {p.pid} ({summary(p.pid)})" for p in left_processes]
    details += [f"port {number}" for number in left_ports]
    details += [str(c.path) for c in (*shm, *temporary)]
    details += [f"message queue {c.id} (key {c.key:#010x})" for c in queues]
    return Receipt(
        processes=len(left_processes),
        ports=len(left_ports),
        shm=len(shm),
        queues=len(queues),
        temporary=len(temporary),
        left=tuple(details),
        foreign=tuple(sorted(set(foreign))),
        seconds=round(time.monotonic() - started, 3),
    )
