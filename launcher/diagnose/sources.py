"""Which files of a folder are logs, who wrote them, and which are never read."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

LIMIT = 256 * 1024 * 1024
"""Bytes read of one file: of a longer one the beginning and the end, where causes stand."""

PACKED = (".gz", ".bz2", ".xz", ".zst")
"""How logrotate leaves old logs; they are not read, and that is said."""

_HEAD = 8 * 1024
_CAPTURED = re.compile(rb"\d{4}-\d\d-\d\dT[^\s\0]{9,30} std(?:out|err) [FP] ")

_BINARY = (*PACKED, ".json", ".db", ".pid", ".sock", ".safetensors")


@dataclass(frozen=True)
class LogFile:
    """One file to read.

    `raw` where processes write to it directly: tracebacks then stand behind INFO records without
    belonging to them. Where only a logger writes, a line without a head is part of the record.
    """

    path: Path
    name: str
    raw: bool
    length: int | None = None
    """Bytes to read; what follows was written later than what is asked about."""


def log_file(path: Path, root: Path | None = None, loggers: Iterable[str] = ()) -> LogFile:
    """`path` as a log, named relative to `root`; `loggers` are globs of files of a logger."""
    shown_path = str(path.relative_to(root)) if root and path.is_relative_to(root) else str(path)
    return LogFile(path, shown_path, not any(fnmatch.fnmatch(path.name, glob) for glob in loggers))


def below(folder: Path, private: Iterable[str] = (), loggers: Iterable[str] = ()) -> list[LogFile]:
    """Every log below `folder`; files that hold prompts or environments (`private`) are left out.

    A name that links to a file of the same folder (`api_server.log` to today's) is read once.
    """
    globs, logged = tuple(private), tuple(loggers)
    files_by_id: dict[tuple[int, int], LogFile] = {}
    for base, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(base, name)
            if name.endswith(_BINARY) or any(fnmatch.fnmatch(name, glob) for glob in globs):
                continue
            with contextlib.suppress(OSError):
                info = path.stat()
                if path.is_file() and info.st_size:
                    files_by_id.setdefault(
                        (info.st_dev, info.st_ino), log_file(path, folder, logged)
                    )
    return list(files_by_id.values())


def packed(folder: Path) -> list[str]:
    """Compressed files below `folder`, relative to it."""
    paths = (Path(base, name) for base, _, names in os.walk(folder) for name in names)
    return sorted(str(p.relative_to(folder)) for p in paths if p.name.endswith(PACKED))


def is_binary(data: bytes) -> bool:
    """True for what no log begins with: NUL bytes between others.

    A log that was emptied under its writer (`copytruncate`) begins with a hole, which reads as
    nothing but NUL bytes. Output that we captured is text, whatever the engine wrote into it.
    """
    return not _CAPTURED.match(data) and b"\0" in data[:_HEAD].lstrip(b"\0")


def cut(logs: Iterable[LogFile], recorded_lengths: Mapping[str, int]) -> list[LogFile]:
    """`logs` as long as `recorded_lengths` says; those that came later are left out."""
    kept = []
    for log in logs:
        with contextlib.suppress(OSError):
            length = recorded_lengths.get(str(log.path.stat().st_ino))
            if length:
                kept.append(replace(log, length=length))
    return kept


_LOGGING_ERROR = b"--- Logging error ---"
_LONGEST_LOGGING_ERROR = 400
"""Lines from the head of such a report to its end; frames of two stacks."""


def without_logging_errors(data: bytes) -> bytes:
    """`data` with the lines emptied in which Python says that a record could not be logged.

    The traceback in such a report is of `logging`, and the server goes on. It ends with the line
    `Arguments: ...`; lines keep their numbers.
    """
    if _LOGGING_ERROR not in data:
        return data
    kept: list[bytes] = []
    left = 0
    for line in data.split(b"\n"):
        if _LOGGING_ERROR in line:
            left = _LONGEST_LOGGING_ERROR
        kept.append(b"" if left else line)
        left = 0 if b"Arguments: " in line else max(0, left - 1)
    return b"\n".join(kept)


def ready_at(data: bytes, marks: Iterable[bytes]) -> int:
    """Where the last line stands by which a server says that it has started; 0: nowhere."""
    return max((data.rfind(mark) for mark in marks), default=0)


def contents(
    path: Path, length: int | None = None, *, logging_errors: bool = False
) -> tuple[bytes, int]:
    """The file's bytes and how many lines are missing before their second half (usually 0).

    Of a file with a `length` no more than that many bytes are read. Python's reports of records
    that could not be logged are emptied, except with `logging_errors`.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        size = size if length is None else min(size, length)
        if size <= LIMIT:
            data = stream.read(size)
            return data if logging_errors else without_logging_errors(data), 0
        head = stream.read(LIMIT // 4)
        skipped = 0
        to_skip = size - LIMIT
        while to_skip > 0:
            piece = stream.read(min(to_skip, 4 * 1024 * 1024))
            if not piece:
                break
            skipped += piece.count(b"\n")
            to_skip -= len(piece)
        both = head + b"\n" + stream.read(size - stream.tell())
        return both if logging_errors else without_logging_errors(both), skipped
