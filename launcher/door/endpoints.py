"""A front door whose servers are those of a folder: replicas that a batch system starts anywhere.

Each replica writes one file when it is ready and removes it before it stops. The folder is shared
by machines, and the kernel tells nothing of another machine's writes, so it is looked at again and
again. Whether a listed replica gets requests is decided by HAProxy's own check of its keeper.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import files, paths
from launcher.door.config import DoorSettings, Server
from launcher.door.door import CONFIG, apply, start
from launcher.door.profile import door_name, door_profile, settings_of
from launcher.errors import DeadlineError, ExitCode, PreconditionError
from launcher.instance.store import instance_dir, view
from launcher.lifecycle import LIVE
from launcher.profile.model import Profile
from launcher.profile.service import ServiceSettings
from launcher.result import Result

POLL = 1.0
"""Seconds between two looks at the folder."""
REREAD = 30
"""Looks after which files are read although the folder seems unchanged: its time has a grain."""
LONGEST_FILE = 4096
"""Bytes of an endpoint's file; it has one line."""
MOST_FILES = 10_000
BUSY_DEADLINE = 1.0
"""Seconds that a look waits for the last requests of a server that left; the next look goes on."""
_LINE = re.compile(r"(?P<name>\S+) (?P<host>\S+):(?P<port>\d{1,5}) (?P<admin>\d{1,5})")


@dataclass(frozen=True)
class Published:
    """What a folder says: the servers in the order of their names, and why lines were left out."""

    servers: tuple[Server, ...]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Doorway:
    """`door`: where clients connect, and the replicas behind it: `HOST:PORT` by name.

    `refused` are files that name no replica, with the reason.
    """

    url: str
    replicas: Mapping[str, str]
    refused: tuple[str, ...] = ()


def read_endpoints(folder: Path) -> Published:
    """The replicas that files of the folder name, each by one line `NAME HOST:PORT ADMIN_PORT`.

    Names of hosts are resolved here, because HAProxy resolves none of a server that is added.

    Raises:
        PreconditionError: `folder-not-readable`, or it has more than `MOST_FILES` files.
    """
    servers: dict[str, Server] = {}
    refused = []
    for path in _files(folder):
        try:
            text = files.read_input(path, LONGEST_FILE, 1.0).decode()
        except FileNotFoundError:
            continue  # withdrawn since the look at the folder
        except (OSError, UnicodeDecodeError) as error:
            refused.append(f"{path.name}: {getattr(error, 'strerror', None) or error}")
            continue
        try:
            server = _server(text)
        except ValueError as error:
            refused.append(f"{path.name}: {error}")
            continue
        if server.name in servers:
            refused.append(f"{path.name}: {server.name} is named twice")
            continue
        servers[server.name] = server
    return Published(tuple(servers[name] for name in sorted(servers)), tuple(refused))


def open_door(profile: Profile, folder: Path) -> Result[Doorway]:
    """Bring the front door of `profile` to what the folder lists now; start it where it is not.

    Raises:
        PreconditionError: the folder cannot be read, HAProxy is missing or refuses, the profile
            asks for what only a service has, or the address cannot change while it runs.
    """
    settings, door = _settings(profile)
    published = read_endpoints(folder)
    if view(instance_dir(door.name))[0] in LIVE:
        _apply(settings, published)
    else:
        result = start(door, settings, published.servers, on_event=lambda event: None)
        if result.exit_code is not ExitCode.DONE:
            return Result("door", None, profile.name, result.exit_code, result.errors)
    return Result("door", _doorway(settings, published), profile.name)


def follow(
    profile: Profile, folder: Path, before: Doorway, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Doorway]:
    """Look at the folder every second, without end; yields the doorway after each change.

    `before` is what `open_door` returned. Files are read again only where the folder has changed,
    and every `REREAD` looks: a thousand of them on a file server are not read each second. A folder
    that cannot be read changes nothing: its file server may come back.

    Raises:
        PreconditionError: the front door was stopped, or HAProxy refuses a change.
    """
    settings, _ = _settings(profile)
    last: int | None = None
    for look in itertools.count():
        sleep(POLL)
        try:
            stamp = os.stat(folder).st_mtime_ns
            if stamp == last and look % REREAD:
                continue
            published = read_endpoints(folder)
        except (OSError, PreconditionError):
            continue
        last = stamp if _apply(settings, published) else None
        now = _doorway(settings, published)
        if now != before:
            yield now
        before = now


def _apply(settings: DoorSettings, published: Published) -> bool:
    """One step towards what is published; False where a server still works on requests."""
    try:
        apply(settings, published.servers, deadline=BUSY_DEADLINE)
    except DeadlineError:
        return False
    return True


def _settings(profile: Profile) -> tuple[DoorSettings, Profile]:
    """The settings of the front door, and the profile of its instance.

    Raises:
        PreconditionError: `not-a-door`: keys, dialects, TLS or groups, which only `deploy` sets up.
    """
    service = profile.service or ServiceSettings()
    only = {
        "service.keys": service.keys,
        "service.dialects": service.dialects != ServiceSettings().dialects,
        "service.front-door.certificate": service.front_door.certificate,
    }
    for key, is_given in only.items():
        if is_given:
            raise PreconditionError.of(
                "not-a-door", f"{key} is for services of one machine, and `door` has none of it",
                profile.where(key), "remove it here (`--set`), or put a proxy of yours before it",
            )  # fmt: skip
    settings = settings_of(profile, profile.name)
    config = paths.home() / "doors" / profile.name / CONFIG
    return settings, door_profile(settings, config, drain=service.rollout.drain)


def _doorway(settings: DoorSettings, published: Published) -> Doorway:
    plan = instance_dir(door_name(settings.name)).plan()
    replicas = {one.name: f"{one.address}:{one.port}" for one in published.servers}
    return Doorway(plan.base_url, replicas, published.refused)


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [Path(entry.path) for entry in itertools.islice(entries, MOST_FILES + 1)]
    except OSError as error:
        raise PreconditionError.of(
            "folder-not-readable", f"{folder} cannot be read: {error.strerror}", str(folder),
            "name the folder that the batch script writes to (ERNIE_ENDPOINTS)",
        ) from None  # fmt: skip
    if len(names) > MOST_FILES:
        raise PreconditionError.of(
            "folder-too-large", f"{folder} has more than {MOST_FILES} files", str(folder),
            "name the folder that the batch script writes to (ERNIE_ENDPOINTS)",
        )  # fmt: skip
    # `.new` is a file that is about to be renamed.
    return sorted(path for path in names if path.suffix != ".new")


def _server(text: str) -> Server:
    """The replica of one file.

    Raises:
        ValueError: it is not one line of the three words, or the host has no address.
    """
    match = _LINE.fullmatch(text.strip())
    if match is None:
        raise ValueError("not one line `NAME HOST:PORT ADMIN_PORT`")
    host = match["host"].strip("[]")
    try:
        (*_, address), *_ = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{host} has no address: {error}") from None
    return Server(match["name"], str(address[0]), int(match["port"]), int(match["admin"]))
