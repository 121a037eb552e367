"""What a run that ended has left, looked up from outside the keeper."""

from __future__ import annotations

from launcher.drill.subject import Subject
from launcher.host.processes import Process, command_line, look
from launcher.host.sockets import listeners_on, owners
from launcher.keeper import cleanup
from launcher.keeper.identity import is_same_process
from launcher.keeper.leftovers import queues_by_key, still_there
from launcher.keeper.state import State
from launcher.lifecycle import RUNNING


def left_by(subject: Subject, before: State, now: State) -> tuple[str, ...]:
    """Each thing of the run `before` that is still there and not of the run `now`.

    Empty where it is the same run: nothing has ended.
    """
    if _is_same_run(before, now):
        return ()
    left = _processes(subject, before, now)
    pids = [process.pid for process in left]
    items = [f"process {p.pid} ({command_line(p.pid) or p.name})" for p in left]
    for use in subject.plan.ports:
        inodes = [one.inode for one in listeners_on(use.number)] if use.bound else []
        if owners(inodes, pids):
            items.append(f"port {use.number} ({use.name})")
    used = {claim.identity for claim in (*now.shm, *now.temporary)}
    for claim in (*before.shm, *before.temporary):
        kept = claim.path == subject.plan.temporary_folder or claim.identity in used
        if not kept and still_there(claim):
            items.append(claim.path)
    queues = queues_by_key()
    current = {(queue.key, queue.id) for queue in now.queues}
    for queue in before.queues:
        there = queues.get(queue.key)
        if there is not None and there.ident == queue.id and (queue.key, queue.id) not in current:
            items.append(f"queue {queue.key:#x}")
    return tuple(items)


def _is_same_run(before: State, now: State) -> bool:
    return now.state in RUNNING and before.engine == now.engine and before.keeper == now.keeper


def _processes(subject: Subject, before: State, now: State) -> list[Process]:
    """Those that were recorded, and others that are proved to be of the run before."""
    ours = subject.tree(now)
    recorded = [
        process for claim in before.processes
        if is_same_process(claim.pid, claim.start) and (process := look(claim.pid)) is not None
    ]  # fmt: skip
    strays = [process for process in cleanup.strays(before) if process.pid not in ours]
    return list({process.pid: process for process in (*recorded, *strays)}.values())
