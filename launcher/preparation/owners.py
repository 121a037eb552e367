"""Which instance of this user something on this machine belongs to: a port, a name in /dev/shm, a
message queue, a process.

Only for messages and for what they offer: code that removes or signals anything proves it itself
(see `launcher.keeper.cleanup`). What a living instance uses is never offered for removal, and what
a dead one has left is removed by `ernie-deploy down NAME`, which knows all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from launcher import files, paths
from launcher.errors import DeployError
from launcher.host import processes
from launcher.host.kernel import MessageQueue, queue_keys, queue_user
from launcher.json_values import (
    JsonObject,
    JsonValue,
    integer_at,
    list_at,
    number_at,
    object_at,
    text_at,
)
from launcher.lifecycle import LIVE
from launcher.plan.model import FtokKey
from launcher.preparation.keepers import kept_folder

FOLDER = "ERNIE_DEPLOY_FOLDER"
"""Variable with the instance's folder in the environment of each of its engine's processes."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,47}")
_COUNTS = ("processes", "ports", "shm", "queues", "temporary")


@dataclass(frozen=True)
class Owner:
    """An instance of this user; `keeper` is the pid of its keeper while that lives.

    `busy` tells why it is not dead although no keeper of it can be seen.
    """

    folder: str
    keeper: int | None = None
    busy: str | None = None

    @property
    def name(self) -> str:
        """The instance's name."""
        return os.path.basename(self.folder)

    @property
    def is_dead(self) -> bool:
        """True where nothing of it is at work any more: what it has left is `down`'s to remove."""
        return self.keeper is None and self.busy is None

    def is_in(self, instances: Path) -> bool:
        """True where it is one of the instances in that folder."""
        return os.path.dirname(self.folder) == os.path.realpath(instances)

    def describe(self) -> str:
        """For a message, after "used by" or "is"."""
        if self.keeper is not None:
            return f"the instance {self.name}, which runs (keeper pid {self.keeper})"
        if self.busy is not None:
            return f"the instance {self.name}, {self.busy}"
        return f"what is left of the instance {self.name}, whose keeper is gone"

    def down(self) -> str:
        """The command that removes what is left of it."""
        home = os.path.dirname(os.path.dirname(self.folder))
        is_here = self.is_in(paths.home() / "instances")
        prefix = "" if is_here else f"ERNIE_DEPLOY_HOME={shlex.quote(home)} "
        return f"{prefix}ernie-deploy down {self.name}"


@dataclass(frozen=True)
class _Record:
    """What an instance's files say of it, as far as they can be believed."""

    owner: Owner
    has_leftovers: bool
    started: float = 0.0
    ports: frozenset[int] = frozenset()
    shm: frozenset[tuple[str, int, int]] = frozenset()
    queues: frozenset[tuple[int, int]] = frozenset()
    keys: frozenset[int] = frozenset()
    processes: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    @property
    def counts(self) -> bool:
        """False for one that ended and left nothing: its numbers are anybody's again."""
        return not self.owner.is_dead or self.has_leftovers


class Owners:
    """The instances of this user as they are now; looked at once, when the first question comes."""

    def of_port(self, number: int) -> Owner | None:
        """The instance that has this port in its plan, and is at work or not cleaned up."""
        return next((r.owner for r in self._records if number in r.ports), None)

    def of_process(self, pid: int) -> Owner | None:
        """The instance that a process belongs to: as keeper, marked, recorded, or below such."""
        for one in processes.ancestors(pid):
            folder = self._marked.get(one)
            if folder is not None:
                return next((r.owner for r in self._records if r.owner.folder == folder), None)
            now = processes.stat(one)
            if now is None:
                return None
            for record in self._records:
                if (one, now.number(processes.START)) in record.processes:
                    return record.owner
        return None

    def of_file(self, path: str, port: int | None = None) -> Owner | None:
        """The instance that claims the file, or has the port in its name and may have made it."""
        try:
            info = os.lstat(path)
        except OSError:
            return None
        for record in self._records:
            if (path, info.st_dev, info.st_ino) in record.shm:
                return record.owner
        if info.st_uid != os.geteuid() or port is None:
            return None
        return next((r.owner for r in self._records
                     if port in r.ports and info.st_mtime >= int(r.started)), None)  # fmt: skip

    def of_queue(self, queue: MessageQueue) -> Owner | None:
        """The instance that claims a System V queue, or has its key in its plan."""
        for record in self._records:
            if (queue.ident, queue.created) in record.queues:
                return record.owner
        if queue.uid != os.geteuid():
            return None
        return next((r.owner for r in self._records
                     if queue.key in r.keys and queue.created >= int(r.started)), None)  # fmt: skip

    @cached_property
    def _processes(self) -> tuple[dict[int, str], dict[str, int]]:
        """Folders by pid of all marked processes, and pids of keepers by folder."""
        marked: dict[int, str] = {}
        keepers: dict[str, int] = {}
        for pid, folder, is_keeper in _marked_processes():
            marked[pid] = folder
            if is_keeper:
                keepers[folder] = pid
        return marked, keepers

    @property
    def _marked(self) -> dict[int, str]:
        return self._processes[0]

    @cached_property
    def _records(self) -> list[_Record]:
        """Those that count: at work first, so that a name is never a dead one's by mistake."""
        marked, keepers = self._processes
        folders = {os.path.realpath(folder) for folder in _folders()} | set(marked.values())
        living = set(marked.values())
        records = [
            _record(folder, keepers.get(folder), folder in living) for folder in sorted(folders)
        ]
        return sorted((r for r in records if r.counts), key=lambda r: r.owner.is_dead)


def queue_remedy(queue: MessageQueue, owners: Owners, otherwise: str) -> tuple[str, str]:
    """What a queue that stands in the way is, and what to do: (whose it is, the remedy).

    `otherwise` is the way out that is always open. `ipcrm` is offered only for a queue of this
    user that no living process and no instance is known to use.
    """
    owner, pid = owners.of_queue(queue), queue_user(queue)
    if owner is not None and owner.is_dead:
        return owner.describe(), f"`{owner.down()}`, or {otherwise}"
    if owner is not None:
        return f"used by {owner.describe()}", otherwise
    if pid is not None:
        return f"last used by pid {pid}, which is alive", otherwise
    if queue.uid != os.geteuid():
        return f"it belongs to uid {queue.uid}", otherwise
    remedy = f"if no server uses it, `ipcrm -q {queue.ident}`; or {otherwise}"
    return "no instance and no living process is known to use it", remedy


def _folders() -> Iterator[str]:
    with contextlib.suppress(OSError, DeployError):
        top = paths.instances()
        for entry in os.scandir(top):
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry.path


def _marked_processes() -> Iterator[tuple[int, str, bool]]:
    for pid in processes.pids():
        if processes.uid(pid) != os.geteuid():
            continue  # another user may write whatever he likes there
        kept = kept_folder(pid)
        folder = kept or processes.environment(pid, (FOLDER,)).get(FOLDER)
        if folder is not None:
            path = os.path.realpath(folder)
            if _NAME.fullmatch(os.path.basename(path)):
                yield pid, path, kept is not None


def _record(folder: str, keeper: int | None, lives: bool) -> _Record:
    """Read leniently: the files may be damaged, and this is only for a message."""
    state, plan = _json(folder, "state.json"), _json(folder, "plan.json")
    ports = {number for use in list_at(plan, "ports") if (number := _integer(use, "number")) > 0}
    ports |= {number for number in object_at(state, "ports").values() if isinstance(number, int)}
    is_live = state.get("state") in LIVE
    counts = [object_at(state, "receipt").get(key) for key in _COUNTS]
    is_here = not state or state.get("boot") == processes.boot_id()
    busy = None
    if keeper is None and not lives:
        if is_live and is_here and _is_foreign(state):
            busy = "which was started in another container"
        elif files.is_locked(Path(folder, "lock")):
            busy = "which another command is working on"
    return _Record(
        Owner(folder, keeper, busy),
        # A plan without a state: killed, or damaged since.
        lives or (is_here and (is_live or any(counts) or (bool(plan) and not state))),
        float(number_at(state, "started_at") or 0.0),
        frozenset(ports),
        frozenset(
            (text_at(claim, "path"), _integer(claim, "device"), _integer(claim, "inode"))
            for claim in list_at(state, "shm")
        ),
        frozenset((_integer(c, "id"), _integer(c, "created")) for c in list_at(state, "queues")),
        _queue_keys(plan),
        frozenset((_integer(p, "pid"), _integer(p, "start")) for p in list_at(state, "processes")),
    )


def _queue_keys(plan: JsonObject) -> frozenset[int]:
    """The keys that the plan's engine makes its System V queues by."""
    listed = [
        FtokKey(text_at(key, "path"), _integer(key, "project"), _integer(key, "bits"))
        for key in list_at(plan, "leftovers", "queues")
    ]
    keys = [key for key in listed if key.path and key.bits in (8, 20)]
    return frozenset(queue_keys(keys, text_at(plan, "cwd")))


def _is_foreign(state: JsonObject) -> bool:
    try:
        return state.get("pid_namespace") != processes.pid_namespace()
    except OSError:
        return False


def _json(folder: str, name: str) -> JsonObject:
    try:
        return object_at(json.loads(files.read_text(Path(folder, name))))
    except (OSError, ValueError, RecursionError):
        return {}


def _integer(data: JsonValue, key: str) -> int:
    number = integer_at(data, key)
    return -1 if number is None else number
