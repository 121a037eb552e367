"""`incidents`: what went wrong, read from the folders that keepers have written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher.codec import written
from launcher.errors import UsageError
from launcher.instance.store import InstanceDir, check_readable
from launcher.keeper import incident
from launcher.keeper.incident import Incident
from launcher.nearest import did_you_mean
from launcher.result import Result

LAST = "last"
"""The word for the newest one."""


@dataclass(frozen=True)
class IncidentRow:
    """One incident, its folder, and the seconds that service was away (None: it is not back)."""

    incident: Incident = field(metadata=written(inline=True))
    folder: str
    away_seconds: float | None


@dataclass(frozen=True)
class IncidentList:
    """`incidents`: the newest first; `unreadable` are folders that are no incident we know."""

    incidents: tuple[IncidentRow, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class IncidentFile:
    """A file that was kept of an incident."""

    path: str
    size: int = field(metadata=written("bytes"))


@dataclass(frozen=True)
class ShownIncident:
    """`incidents show`: one incident and the files that were kept of it."""

    row: IncidentRow = field(metadata=written(inline=True))
    files: tuple[IncidentFile, ...]


def list_incidents(instances: Sequence[InstanceDir], name: str | None) -> Result[IncidentList]:
    """The incidents of `instances`; `name` where only one was asked for.

    Raises:
        PreconditionError: an instance may not be read.
    """
    rows: list[IncidentRow] = []
    unreadable: list[str] = []
    for folder in _folders(instances):
        row = _read(folder)
        if row is None:
            unreadable.append(str(folder))
        else:
            rows.append(row)
    data = IncidentList(tuple(rows), tuple(unreadable))
    return Result("incidents list", data, name)


def show_incident(
    instances: Sequence[InstanceDir], key: str, name: str | None
) -> Result[ShownIncident]:
    """The incident whose ID is or begins with `key`, or the newest one for `last`.

    Raises:
        UsageError: there is none, or there are several.
        PreconditionError: an instance may not be read.
    """
    folder = _find(list(_folders(instances)), key)
    row = _read(folder)
    if row is None:
        raise UsageError.of(
            "unreadable-incident", f"the incident {folder.name} cannot be read",
            str(folder / incident.FILE), "it is damaged, or a newer ernie-deploy wrote it",
        )  # fmt: skip
    files = []
    for base, _, names in os.walk(folder):
        for file in names:
            path = Path(base, file)
            if not path.is_symlink() and path.is_file():
                files.append(IncidentFile(str(path), path.stat().st_size))
    data = ShownIncident(row, tuple(sorted(files, key=lambda one: one.path)))
    return Result("incidents show", data, row.incident.instance)


def incident_ids(instances: Sequence[InstanceDir]) -> list[str]:
    """The IDs that can be shown, newest first."""
    return [folder.name for folder in _folders(instances)]


def _find(folders: Sequence[Path], key: str) -> Path:
    if key == LAST and folders:
        return folders[0]
    matches = [folder for folder in folders if folder.name.startswith(key)]
    exact = [folder for folder in matches if folder.name == key]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    if not matches:
        ids = [folder.name for folder in folders]
        hint = did_you_mean(key, ids) if key != LAST else ""
        raise UsageError.of(
            "unknown-incident",
            f"there is no incident {key!r}{hint}" if key != LAST else "there is no incident",
            remedy="`ernie-deploy incidents` lists all",
        )
    raise UsageError.of(
        "ambiguous-incident",
        f"{len(matches)} incidents begin with {key!r}: "
        + ", ".join(f"{folder.name} of {_instance_of(folder)}" for folder in matches[:5]),
        remedy="give more of the ID, or the instance: `ernie-deploy incidents show ID NAME`",
    )


def _folders(instances: Sequence[InstanceDir]) -> list[Path]:
    """The folders of all incidents, newest first."""
    folders: list[Path] = []
    for instance in instances:
        check_readable(instance)
        folders += incident.folders(instance.folder)
    return sorted(folders, key=lambda folder: folder.name, reverse=True)


def _instance_of(folder: Path) -> str:
    return folder.parent.parent.name


def _read(folder: Path) -> IncidentRow | None:
    try:
        read = incident.read(folder)
    except (OSError, ValueError, RecursionError):
        return None
    return IncidentRow(read, str(folder), read.away)
