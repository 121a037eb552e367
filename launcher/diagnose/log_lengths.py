"""How long the logs of an instance were when its engine got our first signal.

What an engine writes after that signal, it writes because of us: no reader takes it for a cause.
The keeper keeps the lengths in its state. They also lie beside the logs, in a file of their own:
the guard of a killed keeper notes them there, because only the holder of the lock writes
`state.json`, and a reader of the folder alone (`diagnose --logs DIR`, `logs/previous`) finds them.
Files are known by inode: a rotation, or the move to `logs/previous`, changes names only.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import files
from launcher.diagnose.sources import LogFile, cut

NAME = "log-lengths.json"
"""The file in an instance's `logs` folder."""
SCHEMA = "ernie-deploy/log-lengths/1"
DEPTH = 3
"""Folders above a log in which its record is looked for: `logs/previous/engine/x.log` has two."""


@dataclass(frozen=True)
class Record:
    """Bytes by inode, and the token of the start whose logs they are."""

    token: str
    lengths: dict[str, int]


def write(logs: Path, token: str, lengths: Mapping[str, int]) -> None:
    """Note `lengths` in the folder `logs`, unless they were noted for this start before.

    Raises:
        OSError: they cannot be written down.
    """
    recorded = read(logs)
    if recorded is None or recorded.token != token:
        record = {"schema": SCHEMA, "token": token, "lengths": dict(lengths)}
        files.write_atomically(logs / NAME, json.dumps(record))


def read(logs: Path) -> Record | None:
    """What was noted in the folder `logs`; None if nothing was, or if the file is not a record.

    The first signal is the only thing that it tells: without it, the logs are read to their end.
    """
    try:
        data = json.loads(files.read_text(logs / NAME))
        lengths = data["lengths"]
        if data["schema"] != SCHEMA or not all(type(size) is int for size in lengths.values()):
            return None
        return Record(str(data["token"]), {str(inode): size for inode, size in lengths.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def of_start(logs: Path, token: str) -> dict[str, int] | None:
    """The lengths that were noted for the start with this token."""
    lengths = read(logs)
    return lengths.lengths if lengths is not None and lengths.token == token else None


def forget(logs: Path) -> None:
    """Another run writes to the same logs: what was noted is not their end any more."""
    with contextlib.suppress(OSError):
        (logs / NAME).unlink(missing_ok=True)


def cut_by_records(logs: Iterable[LogFile], root: Path) -> tuple[list[LogFile], bool]:
    """`logs` as long as the records that lie beside them say, and whether that left anything out.

    A log without a record stays whole, and so do copies: they have other inodes. Above the
    folder `root`, or that of the file `root`, only the one around it is looked at.
    """
    top = (root if root.is_dir() else root.parent).parent
    groups: dict[Path, list[LogFile]] = {}
    records: dict[Path, Record | None] = {}
    for log in logs:
        groups.setdefault(_folder_of_record(log.path, top, records), []).append(log)
    kept: list[LogFile] = []
    was_cut = False
    for folder, group in groups.items():
        record = records[folder]
        shorter = cut(group, record.lengths) if record is not None else []
        if not shorter:
            kept += group
            continue
        kept += shorter
        was_cut = was_cut or sum(_size(log) for log in group) > sum(
            log.length or 0 for log in shorter
        )
    return kept, was_cut


def _folder_of_record(path: Path, top: Path, records: dict[Path, Record | None]) -> Path:
    """The nearest folder above the log with a record, else the log's own; `records` is filled."""
    above = path.parents[:DEPTH]
    for folder in above:
        if folder not in records:
            records[folder] = read(folder)
        if records[folder] is not None:
            return folder
        if folder == top:
            break
    return above[0]


def _size(log: LogFile) -> int:
    with contextlib.suppress(OSError):
        return log.path.stat().st_size
    return 0
