"""A service on disk: `services/<name>/`, what is in it, and who may write it.

service.json    what it is now, replaced atomically      history.jsonl   every change, append-only
revisions/      the profile of each revision             lock            flock of the one writer
owner.json      who holds the lock, and why              hold.json       a lock that people set
retired/        instances that were replaced, with logs  haproxy.cfg     the front door's rules
keys.json       digests of keys, beside their maps       usage/          requests of each key
gateway-*.json  the gateway's settings
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher import files, paths
from launcher.codec import decode, encode
from launcher.errors import PreconditionError, UsageError
from launcher.instance.store import Lock
from launcher.nearest import did_you_mean
from launcher.service.model import (
    REVISION_SCHEMA,
    SCHEMA,
    HistoryEntry,
    Member,
    Owner,
    Revision,
    ServiceState,
)

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,37}")
"""A service's name: 48 characters of an instance's less `-`, six hex digits, `-` and two digits."""
DOOR = "-door"
"""What the front door's instance is called behind the service's name."""
GATEWAYS = ("-gateway", "-gateway-2")
"""The same of the gateway of Anthropic's dialect: of two, so that one can replace the other."""
KEPT_RETIRED = 5
"""Folders of replaced instances that are kept, for their logs."""
KEPT_REVISIONS = 20
LONGEST_HISTORY = 4 * 1024 * 1024
"""Bytes of the history that are read, from its end."""


@dataclass(frozen=True)
class ServiceDir:
    """The directory of one service; it may not exist yet."""

    folder: Path

    @property
    def name(self) -> str:
        """The service's name."""
        return self.folder.name

    @property
    def door_instance(self) -> str:
        """The name of the front door's instance."""
        return self.name + DOOR

    @property
    def gateway_instances(self) -> tuple[str, ...]:
        """The names that the gateway's instance can have."""
        return tuple(self.name + suffix for suffix in GATEWAYS)

    @property
    def exists(self) -> bool:
        """True once a `deploy` has written what the service is."""
        return (self.folder / "service.json").exists()

    def read(self) -> ServiceState:
        """What the service is.

        Raises:
            PreconditionError: `service.json` cannot be read or is damaged.
        """
        path = self.folder / "service.json"
        try:
            value = json.loads(files.read_text(path))
            state = decode(ServiceState, value, "service", schema=SCHEMA, tolerant=True)
            if state.name != self.name:
                raise ValueError(f"it is of the service {state.name!r}")
        except FileNotFoundError:
            return ServiceState(self.name)
        except (OSError, ValueError, RecursionError) as error:
            raise PreconditionError.of(
                "damaged-service", f"the state of the service {self.name} cannot be read: {error}",
                str(path), "restore the file, or stop its instances with `ernie-deploy down NAME`"
                " and remove the folder",
            ) from None  # fmt: skip
        return state

    def write(self, state: ServiceState) -> ServiceState:
        """Replace `service.json`; returns what was written.

        Raises:
            PreconditionError: the disk is full or not writable.
        """
        self.write_file("service.json", json.dumps(encode(state)))
        return state

    def write_file(self, name: str, text: str) -> None:
        """Replace a file of the service, mode 0600.

        Raises:
            PreconditionError: the disk is full or not writable.
        """
        try:
            paths.private_folder((self.folder / name).parent)
            files.write_atomically(self.folder / name, text)
        except OSError as error:
            raise PreconditionError.of(
                "state-not-writable", f"the service's files cannot be written: {error.strerror}",
                str(error.filename or self.folder),
                "free some disk space, or set ERNIE_DEPLOY_HOME to another folder",
            ) from None  # fmt: skip

    # -- revisions ---------------------------------------------------------------------------------

    def revision(self, revision_id: str) -> Revision:
        """The stored revision called `revision_id`.

        Raises:
            UsageError: there is none; names those that are stored.
        """
        try:
            value = json.loads(files.read_text(self.folder / "revisions" / f"{revision_id}.json"))
            return decode(Revision, value, "revision", schema=REVISION_SCHEMA, tolerant=True)
        except (OSError, ValueError, RecursionError):
            stored = [revision.id for revision in self.revisions()]
            raise UsageError.of(
                "unknown-revision",
                f"{self.name} has no revision {revision_id!r}{did_you_mean(revision_id, stored)}",
                remedy=f"`ernie-deploy history {self.name}` lists them",
            ) from None

    def revisions(self) -> list[Revision]:
        """Every stored revision that can be read, oldest first."""
        revisions = []
        for path in sorted((self.folder / "revisions").glob("*.json")):
            with contextlib.suppress(OSError, ValueError, RecursionError):
                value = json.loads(files.read_text(path))
                revisions.append(
                    decode(Revision, value, "revision", schema=REVISION_SCHEMA, tolerant=True)
                )
        return sorted(revisions, key=lambda revision: revision.created_at)

    def keep_revision(self, revision: Revision, needed: tuple[str | None, ...]) -> None:
        """Store a revision; of the others the newest stay, and those that are `needed`."""
        self.write_file(f"revisions/{revision.id}.json", json.dumps(encode(revision)))
        for old in self.revisions()[:-KEPT_REVISIONS]:
            if old.id not in needed:
                (self.folder / "revisions" / f"{old.id}.json").unlink(missing_ok=True)

    # -- history -----------------------------------------------------------------------------------

    def append_history(self, entry: HistoryEntry) -> None:
        """Add a line; a disk that is full does not undo the change itself.

        Raises:
            PreconditionError: it cannot be written.
        """
        try:
            descriptor = files.open_append(self.folder / "history.jsonl")
            try:
                files.write_all(descriptor, (json.dumps(encode(entry)) + "\n").encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise PreconditionError.of(
                "state-not-writable", f"the history cannot be written: {error.strerror}",
                str(self.folder / "history.jsonl"), "free some disk space",
            ) from None  # fmt: skip

    def history(self) -> list[HistoryEntry]:
        """Every change that can be read, oldest first."""
        path = self.folder / "history.jsonl"
        try:
            with path.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - LONGEST_HISTORY))
                text = stream.read().decode("utf-8", errors="replace")
        except OSError:
            return []
        entries = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                entries.append(decode(HistoryEntry, json.loads(line), "history", tolerant=True))
        return entries

    # -- locks -------------------------------------------------------------------------------------

    def owner(self) -> Owner | None:
        """Who holds the lock now, None where it is free."""
        return self._owner("owner.json") if files.is_locked(self.folder / "lock") else None

    def hold(self) -> Owner | None:
        """Who forbade changes by `ernie-deploy lock`, None where they are allowed."""
        return self._owner("hold.json")

    def _owner(self, name: str) -> Owner | None:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            value = json.loads(files.read_text(self.folder / name))
            return decode(Owner, value, "owner", tolerant=True)
        return None

    def set_hold(self, owner: Owner | None) -> None:
        """Forbid changes, or allow them again with None."""
        if owner is None:
            (self.folder / "hold.json").unlink(missing_ok=True)
        else:
            self.write_file("hold.json", json.dumps(encode(owner)))

    @contextlib.contextmanager
    def locked(self, owner: Owner) -> Iterator[None]:
        """Be the only writer while the block runs.

        Raises:
            PreconditionError: another command works on the service, or changes are forbidden.
        """
        try:
            paths.private_folder(self.folder)
        except OSError as error:
            raise PreconditionError.of(
                "state-not-writable", f"{self.folder}: {error.strerror}", None,
                "set ERNIE_DEPLOY_HOME to a folder that can be written",
            ) from None  # fmt: skip
        lock = Lock.take(self.folder)
        if lock is None:
            holder = self.owner()
            who = holder.describe() if holder else "another command"
            raise PreconditionError.of(
                "service-locked", f"{who} is changing {self.name}", str(self.folder / "lock"),
                f"`ernie-deploy status {self.name}` shows how far it is",
            )  # fmt: skip
        try:
            self.write_file("owner.json", json.dumps(encode(owner)))
            yield
        finally:
            lock.release()

    def check_hold(self) -> None:
        """Refuse a change while people forbid it.

        Raises:
            PreconditionError: `ernie-deploy lock` forbade it; says who and why.
        """
        hold = self.hold()
        if hold is not None:
            since = time.strftime("%Y-%m-%d %H:%M", time.localtime(hold.since))
            why = f": {hold.message}" if hold.message else ""
            raise PreconditionError.of(
                "service-held", f"{hold.user} locked {self.name} at {since}{why}", None,
                f"`ernie-deploy unlock {self.name}`",
            )  # fmt: skip

    # -- retired instances -------------------------------------------------------------------------

    def retire(self, instance: Path) -> None:
        """Move the folder of a stopped instance below `retired/`; only the newest are kept."""
        if not instance.is_dir():
            return
        retired = paths.private_folder(self.folder / "retired")
        target = retired / instance.name
        if target.exists():
            shutil.rmtree(target, ignore_errors=True)
        instance.rename(target)
        os.utime(target)
        kept = sorted(retired.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[:-KEPT_RETIRED]:
            shutil.rmtree(path, ignore_errors=True)


def service_dir(name: str) -> ServiceDir:
    """The directory of the service called `name`, existing or not.

    Raises:
        UsageError: that cannot be the name of a service.
    """
    if not NAME.fullmatch(name):
        raise UsageError.of(
            "bad-name", f"{name!r} cannot be the name of a service",
            remedy="up to 38 of a-z, 0-9, `.` and `-`, not beginning with `.` or `-`",
        )  # fmt: skip
    return ServiceDir(paths.services() / name)


def open_service(name: str) -> ServiceDir:
    """The existing service called `name`.

    Raises:
        UsageError: there is none; names the nearest.
    """
    service = service_dir(name)
    if service.exists:
        return service
    names = [one.name for one in every_service()]
    raise UsageError.of(
        "unknown-service", f"no service is called {name!r}{did_you_mean(name, names)}",
        remedy="`ernie-deploy deploy PROFILE` makes one of a profile with a `service:` section",
    )  # fmt: skip


def find_service(name: str) -> ServiceDir | None:
    """The existing service called `name`, None where there is none."""
    if not NAME.fullmatch(name):
        return None
    service = ServiceDir(paths.services() / name)
    return service if service.exists else None


def every_service() -> list[ServiceDir]:
    """All services, by name."""
    top = paths.services()
    names = os.listdir(top) if paths.check_readable(top) else []
    services = [ServiceDir(top / name) for name in sorted(names) if NAME.fullmatch(name)]
    return [service for service in services if service.exists]


def service_of(instance: str) -> tuple[ServiceDir, Member | None] | None:
    """The service that an instance belongs to, and which replica it is.

    None instead of a replica: its front door, or its gateway.
    """
    for service in every_service():
        if not instance.startswith(f"{service.name}-"):
            continue
        if instance in (service.door_instance, *service.gateway_instances):
            return service, None
        try:
            state = service.read()
        except PreconditionError:
            continue
        for member in state.members:
            if instance in member.instances:
                return service, member
    return None


def this_owner(command: str, message: str = "") -> Owner:
    """Describe this process as the holder of a lock."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return Owner(user, socket.gethostname(), os.getpid(), command, round(time.time(), 3), message)
