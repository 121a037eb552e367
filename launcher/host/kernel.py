"""Kernel limits that decide whether an engine can work: queues, descriptors, tasks, ports."""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.host import processes

if TYPE_CHECKING:
    from launcher.plan.model import FtokKey

PROC = Path(processes.PROC)
CLOCK_REALTIME_COARSE = 5
"""From linux/time.h; Python's `time` names the other clocks only."""


@dataclass(frozen=True)
class MessageQueue:
    """One System V message queue of this IPC namespace, from /proc/sysvipc/msg."""

    key: int
    ident: int
    messages: int
    uid: int
    created: int
    last_sender: int
    last_receiver: int
    sent: int = 0
    """Unix seconds of the last message, 0 where there was none."""
    received: int = 0


def sysctl(name: str) -> int | None:
    """A numeric kernel setting such as `kernel.msgmax`, None where it is not there."""
    try:
        text = (PROC / "sys" / name.replace(".", "/")).read_text(encoding="ascii")
    except OSError:
        return None
    first = text.split()[:1]
    return int(first[0]) if first and first[0].isdigit() else None


def limit(name: str) -> tuple[int | None, int | None]:
    """Soft and hard resource limit by its short name (`nofile`, `nproc`); None: unlimited."""
    soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    infinite = resource.RLIM_INFINITY
    return (None if soft == infinite else soft, None if hard == infinite else hard)


def processor() -> str:
    """The processor's name; its architecture where the kernel has no name for it."""
    try:
        text = (PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    names = re.search(r"^model name[ \t]*:[ \t]*(\S.*)$", text, re.MULTILINE)
    return names[1].strip() if names else platform.machine()


def ephemeral_ports() -> tuple[int, int]:
    """First and last port the kernel gives to outgoing connections."""
    try:
        path = PROC / "sys/net/ipv4/ip_local_port_range"
        low, high = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 32768, 60999
    return int(low), int(high)


def file_clock() -> float:
    """Now (Unix seconds) by the clock with which the kernel stamps files and queues.

    It advances with the timer's tick, so it is up to 10 ms behind `time.time()`: what is made just
    after a moment of that clock can bear a time before it.
    """
    # Divided as the stamps are, so that what is made in the same tick has the very same number.
    return time.clock_gettime_ns(CLOCK_REALTIME_COARSE) / 1e9


def message_queues() -> tuple[MessageQueue, ...]:
    """Every System V message queue that this IPC namespace has."""
    try:
        lines = (PROC / "sysvipc/msg").read_text(encoding="ascii").splitlines()
    except OSError:
        return ()
    queues = []
    names = lines[0].split() if lines else []
    for line in lines[1:]:
        row = dict(zip(names, (int(word) for word in line.split()), strict=False))
        queues.append(
            MessageQueue(
                row["key"] & 0xFFFFFFFF,
                row["msqid"],
                row["qnum"],
                row["uid"],
                row["ctime"],
                row["lspid"],
                row["lrpid"],
                row["stime"],
                row["rtime"],
            )
        )
    return tuple(queues)


def queue_user(queue: MessageQueue, besides: Collection[int] = ()) -> int | None:
    """A living process, none of `besides`, that sent to or received from the queue last.

    None where neither lives: a process that began after that message has only got the number.
    """
    for pid, moment in ((queue.last_sender, queue.sent), (queue.last_receiver, queue.received)):
        if pid <= 0 or pid in besides:
            continue
        began = processes.started_at(pid)
        if began is not None and (not moment or began <= moment + 1):
            return pid
    return None


def project_of(key: int, bits: int = 8) -> int:
    """The project that a key made by `ftok` with so many bits holds."""
    return key & 0xFFFFF if bits == 20 else key >> 24 & 255


def ftok(path: str, project: int, bits: int = 8) -> int | None:
    """The System V key of `path` and the low byte of `project`, as glibc computes it.

    With 20 `bits` as FastDeploy 2.5 and later do (custom_ops/gpu_ops/custom_ftok.h).

    None where `path` does not exist.
    """
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # or a zero byte in it
        return None
    if bits == 20:
        device, inode = stat.st_dev & 0xF, stat.st_ino & 0xFF
        return device << 28 | inode << 20 | project & 0xFFFFF
    return ((project & 0xFF) << 24) | ((stat.st_dev & 0xFF) << 16) | (stat.st_ino & 0xFFFF)


def queue_keys(queues: Iterable[FtokKey], cwd: str) -> dict[int, str]:
    """The keys of the queues an engine that runs in `cwd` may use, each with the path it is from.

    Computed rather than listed because the device number differs per mount namespace.
    """
    keys = {}
    for queue in queues:
        path = os.path.join(cwd, queue.path)
        key = ftok(path, queue.project, queue.bits)
        if key is not None:
            keys[key] = path
    return keys
