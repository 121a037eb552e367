"""Kernel limits: message sizes, stale message queues, descriptors, tasks."""

from __future__ import annotations

import os
from collections.abc import Collection

from launcher.doctor.model import Check, Outcome, Subject, fail, host_of, ok, warn
from launcher.host import kernel, sockets
from launcher.host.memory import SHM
from launcher.preparation.owners import queue_remedy

NOFILE = 65536
NOFILE_LEAST = 4096
NPROC_LEAST = 4096


def queues(subject: Subject) -> Outcome | None:
    """A queue with this plan's key that exists before the start is never inherited."""
    if subject.plan is None or subject.running or not subject.plan.leftovers.queues:
        return None
    required: Collection[int] = ()
    if "engine-worker-queue" not in subject.auto_ports:
        required = kernel.queue_keys(subject.plan.leftovers.queues, subject.plan.cwd)
    stale = [q for q in host_of(subject).queues if q.key in required]
    if not stale:
        return ok(f"none of {len(host_of(subject).queues)} System V queues has this plan's key")
    auto = "set `engine-worker-queue: auto` under `ports:`"
    summary, remedies = [], []
    for queue in stale:
        whose, remedy = _queue_user(queue, subject), ""
        if whose is None:
            whose, remedy = queue_remedy(queue, host_of(subject).owners, auto)
        text = f"id {queue.ident} key {queue.key:#010x}, {queue.messages} messages, {whose}"
        summary.append(text)
        # Removing the queue of a live server stops its answers: no such command is shown.
        remedies.append(remedy or f"{auto}; do not remove the queue of a server that runs")
    return fail(
        f"exists before the start: {'; '.join(summary)}", "; ".join(dict.fromkeys(remedies))
    )


def _queue_user(queue: kernel.MessageQueue, subject: Subject) -> str | None:
    """Which server of anybody may use the queue, by its queue port; None where none is seen."""
    owner = host_of(subject).owners.of_queue(queue)
    if owner is not None and owner.is_dead:
        return None  # processes of it that still live are `down`'s to end
    listening = {one.port for one in sockets.listeners()}
    for port in host_of(subject).queue_ports:
        if queue.key not in (kernel.ftok(SHM, port.port, bits) for bits in (8, 20)):
            continue
        if port.pid is not None:
            return f"of the server with queue port {port.port} (pid {port.pid})"
        if port.port in listening:
            return f"of the server that listens on queue port {port.port}"
    return None


def open_files(subject: Subject) -> Outcome | None:
    """RLIMIT_NOFILE of this process, which the server inherits."""
    soft, hard = kernel.limit("nofile")
    summary = f"nofile {soft or 'unlimited'} (hard {hard or 'unlimited'})"
    remedy = f"ulimit -n {NOFILE} (systemd: LimitNOFILE={NOFILE}; Docker: --ulimit nofile={NOFILE})"
    if soft is not None and soft < NOFILE_LEAST:
        return fail(summary, remedy)
    if soft is not None and soft < 16384:
        return warn(summary, remedy)
    return ok(summary)


def tasks(subject: Subject) -> Outcome | None:
    """RLIMIT_NPROC of this process, which the server inherits."""
    soft, hard = kernel.limit("nproc")
    summary = f"nproc {soft or 'unlimited'} (hard {hard or 'unlimited'})"
    if os.geteuid() == 0:
        return ok(f"{summary}; it does not bind root")
    if soft is not None and soft < NPROC_LEAST:
        return warn(summary, "ulimit -u 65536 (systemd: LimitNPROC=65536)")
    return ok(summary)


CHECKS = (
    Check(
        "message-queues",
        "no System V queue of an earlier server has this plan's key",
        "unread messages of a dead server become the first answers of the new one",
        queues,
        "kernel",
    ),
    Check(
        "open-files",
        "enough files can be open",
        "every request, shard and rank takes descriptors; without them requests hang",
        open_files,
        "kernel",
        needs_profile=False,
    ),
    Check(
        "tasks",
        "enough processes and threads can be made",
        "each rank starts a thread per core in several libraries",
        tasks,
        "kernel",
        needs_profile=False,
    ),
)
