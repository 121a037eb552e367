"""The maps of keys on disk and in the running HAProxy, changed together and without a reload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from launcher import files, paths
from launcher.door.keys import KeyTable, parse_map, render_map
from launcher.door.socket_client import exchange
from launcher.errors import DeployError, PreconditionError

Contents = Mapping[Path, str | None]
"""The text of each map file; None where it does not exist."""


def read_maps(keys: KeyTable | None) -> Contents:
    """What the map files hold now; nothing without keys.

    Raises:
        PreconditionError: a file cannot be read.
    """
    contents: dict[Path, str | None] = {}
    for path in keys.maps if keys is not None else ():
        try:
            contents[path] = files.read_text(path)
        except FileNotFoundError:
            contents[path] = None
        except (OSError, ValueError) as error:
            raise PreconditionError.of(
                "state-not-readable", f"a map of keys cannot be read: {error}", str(path)
            ) from None
    return contents


def write_maps(keys: KeyTable | None) -> None:
    """Bring the map files to `keys`, mode 0600.

    Raises:
        PreconditionError: the disk is full or not writable.
    """
    for path, entries in keys.maps.items() if keys is not None else ():
        paths.write_private(path, render_map(entries), "the keys")


def restore_maps(contents: Contents) -> None:
    """Bring the map files back to what `read_maps` returned.

    Raises:
        PreconditionError: the disk is full or not writable.
    """
    for path, text in contents.items():
        if text is None:
            path.unlink(missing_ok=True)
        else:
            paths.write_private(path, text, "the keys")


def differs(keys: KeyTable | None) -> bool:
    """Whether the map files hold something else than `keys`.

    Raises:
        PreconditionError: a file cannot be read.
    """
    contents = read_maps(keys)
    return keys is not None and any(
        parse_map((contents[path] or "").splitlines()) != dict(entries)
        for path, entries in keys.maps.items()
    )


def update_running(stats_socket: Path, keys: KeyTable | None) -> bool:
    """Bring the maps of the running worker to `keys`; True where something was changed.

    Each map is replaced in one step: no request meets a half of it. A worker whose configuration
    has no such map is left as it is.

    Raises:
        PreconditionError: HAProxy refuses it, or cannot be reached.
        DeadlineError: HAProxy does not answer.
    """
    changed = False
    for path, entries in keys.maps.items() if keys is not None else ():
        running = _running(stats_socket, path)
        if running is not None and running != dict(entries):
            _replace(stats_socket, path, entries)
            changed = True
    return changed


def _running(stats_socket: Path, path: Path) -> dict[str, str] | None:
    """The entries of a map in the worker; None where it has no such map."""
    answer = exchange(stats_socket, f"show map {path}")
    if answer.startswith("Unknown map"):
        return None
    # Each line begins with the entry's address in memory.
    return parse_map([line.partition(" ")[2] for line in answer.splitlines()])


def _replace(stats_socket: Path, path: Path, entries: Mapping[str, str]) -> None:
    answer = exchange(stats_socket, f"prepare map {path}").strip()
    version = answer.rpartition(" ")[2]
    if not answer.startswith("New version created") or not version.isdigit():
        raise _refused(f"prepare map {path}", answer)
    for key, value in entries.items():
        summary = f"add map @{version} {path} ..."
        answer = exchange(stats_socket, f"add map @{version} {path} {key} {value}", shown=summary)
        if answer.strip():
            raise _refused(summary, "it does not take the entry")
    answer = exchange(stats_socket, f"commit map @{version} {path}").strip()
    if answer:
        raise _refused(f"commit map @{version} {path}", answer)


def _refused(command: str, answer: str) -> DeployError:
    return PreconditionError.of("door-refused", f"HAProxy refuses `{command}`: {answer}")
