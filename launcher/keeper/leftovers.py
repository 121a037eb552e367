"""What an engine can leave behind: shared memory, System V queues, temporary folders.

Everything is claimed while the engine lives, with an identity (device, inode and birth time; queue
id and creation), and removed later only if that identity is still the same. What was there before
the start, or carries no proof, is reported as foreign and left alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import shutil
import stat
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher.host import kernel, processes, sockets
from launcher.host.kernel import MessageQueue
from launcher.keeper.claim import FileClaim, QueueClaim
from launcher.keeper.file_use import (
    SHM,
    is_bound,
    is_in_shm,
    is_named_after,
    mentioned,
    used_in_shm,
    users,
)
from launcher.plan.model import Leftovers

_STATX_BTIME = 0x800
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW = -100, 0x100
_IPC_RMID = 0


def file_identity(path: str | Path) -> FileClaim | None:
    """Device, inode and birth time (nanoseconds; None where the filesystem has none) of a path.

    The birth time is what tells a file from a later one that got the same inode; os.stat does not
    have it, so statx is called directly (layout: statx(2)).
    """
    buffer = ctypes.create_string_buffer(256)
    result = ctypes.CDLL(None, use_errno=True).statx(
        _AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer
    )
    try:
        info = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    born = None
    if result == 0 and int.from_bytes(buffer.raw[0:4], "little") & _STATX_BTIME:
        born = int.from_bytes(buffer.raw[80:88], "little") * 10**9
        born += int.from_bytes(buffer.raw[88:92], "little")
    return FileClaim(str(path), info.st_dev, info.st_ino, born)


def queues_by_key() -> dict[int, MessageQueue]:
    """Every queue of this IPC namespace."""
    return {queue.key: queue for queue in kernel.message_queues()}


@dataclass
class Claims:
    """What an instance has left or may leave, with proof; filled while its engine lives."""

    spec: Leftovers
    cwd: str
    shm: dict[str, FileClaim] = field(default_factory=dict)
    queues: dict[int, QueueClaim] = field(default_factory=dict)
    temporary: dict[str, FileClaim] = field(default_factory=dict)
    before: dict[str, FileClaim] = field(default_factory=dict)
    queues_before: set[int] = field(default_factory=set)
    """Ids of queues that were there before the start. The kernel tells a queue's age in whole
    seconds only, so one made in the second of the start would pass for ours by its time."""
    started: float = 0
    """Unix seconds of the start by `kernel.file_clock`; the engine was executed later than that."""
    pid: int | None = None
    """The engine's first process, which some names hold (`{pid}` in the plan)."""
    seen_ids: set[int] = field(default_factory=set)
    """Processes of the last look: names that hold their pid prove what they left, dead or not.

    Only of the last look: an older number may be another server's process by now, and what it
    makes in a folder that servers share would pass for ours.
    """

    def look_before(self, now: float) -> list[MessageQueue]:
        """Remember what exists before the start; returns queues that must not be inherited."""
        self.started = now
        for path in self._shm_paths():
            path_identity = file_identity(path)
            if path_identity is not None:
                self.before[path_identity.path] = path_identity
        for pattern in self.spec.temporary:
            for path in glob.glob(pattern):
                path_identity = file_identity(path)
                if path_identity is not None:
                    self.before[path] = path_identity
        existing = queues_by_key()
        found_queues = [
            existing[k] for k in kernel.queue_keys(self.spec.queues, self.cwd) if k in existing
        ]
        self.queues_before = {queue.ident for queue in found_queues}
        return found_queues

    def begin_late(self, started: float) -> None:
        """Instead of `look_before`, for who comes later: what is older was there before."""
        self.started = started
        paths = list(self._shm_paths())
        paths += [path for pattern in self.spec.temporary for path in glob.glob(pattern)]
        for path in paths:
            path_identity = file_identity(path)
            if path_identity is not None and not _is_younger(path_identity, started):
                self.before[path] = path_identity

    def _shm_paths(self) -> Iterator[str]:
        """What the plan's names in /dev/shm stand for now: some hold a process number."""
        for name in self.spec.shm:
            if "{pid}" in name and self.pid is None:
                continue
            path = str(SHM / name.replace("{pid}", str(self.pid)))
            if "*" in name:
                yield from glob.iglob(path)
            else:
                yield path

    def look(self, pids: list[int]) -> bool:
        """Claim what has appeared since; `pids` are the living tree. True where that is news."""
        count = len(self.shm) + len(self.queues) + len(self.temporary)
        for path in self._shm_paths():
            if path in self.shm:
                continue
            path_identity = file_identity(path)
            if (
                path_identity is not None
                and path_identity != self.before.get(path)
                and not is_bound(path, pids)
            ):
                self.shm[path] = path_identity
        self._look_for_queues()
        self._look_for_temporary(pids)
        return count != len(self.shm) + len(self.queues) + len(self.temporary)

    def look_at_use(self, pids: list[int]) -> None:
        """Claim shared memory that the living tree uses, whatever its name is.

        A release may make what its predecessor, by which the plan was written, did not.
        """
        for path_identity in used_shm(pids, self.started, self.shm):
            if path_identity != self.before.get(path_identity.path):
                self.shm[path_identity.path] = path_identity

    def look_after_death(self) -> None:
        """Claim what appeared between the keeper's last look and a death of the whole tree.

        The living prove nothing any more, so it has to be ours by user and time, and no process may
        use it; of a queue, the last sender or receiver has to be dead as well. (That it was one
        of ours cannot be asked for: its worker may never have been seen.)
        """
        everybody = processes.pids()
        for path in self._shm_paths():
            path_identity = file_identity(path)
            if (
                path_identity is None
                or path in self.shm
                or not _made_since(path_identity, self.started)
            ):
                continue
            if not users(path, everybody) and not is_bound(path, []):
                self.shm[path] = path_identity
        for key, path in self._queue_keys().items():
            queue = queues_by_key().get(key)
            if queue is None or key in self.queues or not self._new(queue):
                continue
            if kernel.queue_user(queue) is None:
                self.queues[key] = _queue_claim(queue, path)
        self._look_for_temporary([])

    def _new(self, queue: MessageQueue) -> bool:
        """True for a queue of our user that was not there before the start."""
        ours = queue.uid == os.getuid() and queue.created >= int(self.started)
        return ours and queue.ident not in self.queues_before

    def _queue_keys(self) -> dict[int, str]:
        return kernel.queue_keys(self.spec.queues, self.cwd)

    def _look_for_queues(self) -> None:
        missing = {k: p for k, p in self._queue_keys().items() if k not in self.queues}
        if not missing:
            return
        existing = queues_by_key()
        for key, path in missing.items():
            queue = existing.get(key)
            if queue and self._new(queue):
                self.queues[key] = _queue_claim(queue, path)

    def _look_for_temporary(self, pids: list[int]) -> None:
        named, self.seen_ids = self.seen_ids | set(pids), set(pids)
        unclaimed = dict(self._unclaimed())
        used = mentioned(unclaimed, pids)
        for path, path_identity in unclaimed.items():
            if path in used or is_named_after(path, named):
                self.temporary[path] = replace(path_identity, shared=True)

    def _unclaimed(self) -> Iterator[tuple[str, FileClaim]]:
        """What our user has in the places of temporary files since the start and is not claimed.

        On a host with many servers most of it is theirs.
        """
        for path in (path for pattern in self.spec.temporary for path in glob.glob(pattern)):
            if path in self.temporary:
                continue
            path_identity = file_identity(path)
            if path_identity is None or path_identity == self.before.get(path):
                continue
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path, follow_symlinks=False).st_uid == os.getuid():
                    yield path, path_identity


def _queue_claim(queue: MessageQueue, path: str) -> QueueClaim:
    return QueueClaim(queue.key, queue.ident, queue.created, path)


def used_shm(
    pids: Collection[int], started: float, known_names: Container[str] = ()
) -> list[FileClaim]:
    """The files and sockets in /dev/shm that only `pids` use, made since `started` by our user.

    Use proves whose they are; what another process has open as well is shared.
    """
    paths = used_in_shm(pids)
    bound = [one for one in sockets.unix_sockets() if is_in_shm(one.path)]
    paths |= {one.path for one in bound if sockets.holder(one.inode, pids) is not None}
    fresh = [path for path in sorted(paths) if path not in known_names and is_in_shm(path)]
    identities = [one for path in fresh if (one := file_identity(path)) is not None]
    own_files = [one for one in identities if _made_since(one, started)]
    strangers = [pid for pid in processes.pids() if pid not in pids] if own_files else []
    foreign = used_in_shm(strangers)
    return [one for one in own_files if one.path not in foreign and not is_bound(one.path, pids)]


def _made_since(path_identity: FileClaim, started: float) -> bool:
    try:
        info = os.stat(path_identity.path, follow_symlinks=False)
    except OSError:
        return False
    plain = stat.S_ISREG(info.st_mode) or stat.S_ISSOCK(info.st_mode)
    return plain and _is_younger(path_identity, started)


def _is_younger(path_identity: FileClaim, started: float) -> bool:
    """True for what our user has made since `started`."""
    try:
        info = os.stat(path_identity.path, follow_symlinks=False)
    except OSError:
        return False
    born = path_identity.born if path_identity.born is not None else info.st_mtime_ns
    return info.st_uid == os.getuid() and born / 1e9 >= started


def used_by_others(claim: FileClaim, ours: Iterable[int]) -> list[int]:
    """Living processes other than `ours` that use a folder whose name is not ours alone."""
    if not claim.shared or not still_there(claim):
        return []
    mine = {os.getpid(), *ours}
    return users(claim.path, [pid for pid in processes.pids() if pid not in mine])


REMOVALS = 3
"""Tries to remove a folder in which another process removes files too."""


def remove_file(claim: FileClaim) -> bool:
    """Remove a claimed file or folder if it is still the same one; True where it is gone."""
    path = claim.path
    now = file_identity(path)
    if now is None or now != claim.identity:
        return now is None
    for _ in range(REMOVALS):
        try:
            if stat.S_ISDIR(os.stat(path, follow_symlinks=False).st_mode):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            # It may be about a file in the folder, which another process has just removed.
            if not still_there(claim):
                return True
        except OSError:
            return False
        else:
            return True
    return False


def empty(claim: FileClaim) -> bool:
    """Remove what is in a claimed folder and keep the folder; True where nothing is in it."""
    if not still_there(claim):
        return True
    try:
        for entry in os.scandir(claim.path):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
    except OSError:
        return False
    return True


def queue_user(claim: QueueClaim, ours: Iterable[int]) -> int | None:
    """A living process other than `ours` that used a claimed queue last; None where none does."""
    queue = _claimed_queue(claim)
    return None if queue is None else kernel.queue_user(queue, {os.getpid(), *ours})


def _claimed_queue(claim: QueueClaim) -> MessageQueue | None:
    """The queue if it is still the same one."""
    queue = queues_by_key().get(claim.key)
    if queue is None or queue.ident != claim.id or queue.created != claim.created:
        return None
    return queue


def remove_queue(claim: QueueClaim) -> bool:
    """Remove a claimed message queue if it is still the same one; True where it is gone."""
    queue = _claimed_queue(claim)
    if queue is None:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.msgctl(queue.ident, _IPC_RMID, None) == 0)


def still_there(claim: FileClaim) -> bool:
    """True where the claimed file is still there and still the same."""
    return file_identity(claim.path) == claim.identity
