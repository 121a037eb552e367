"""Which files of a folder are logs, who wrote them, and which are never read."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LIMIT = 256 * 1024 * 1024
"""Bytes read of one file: of a longer one the beginning and the end, where causes stand."""

# Only a logger writes these; what it quotes at INFO is not a failure. Captured output and the
# files of paddle.distributed.launch hold tracebacks without a head.
_RAW = ("engine.log*", "workerlog.*", "launch_*", "*stderr*", "*stdout*", "nohup.out", "*.out")
_BINARY = (".gz", ".xz", ".zst", ".json", ".db", ".pid", ".sock", ".safetensors")


@dataclass(frozen=True)
class LogFile:
    """One file to read; `raw` where processes write to it directly, not only a logger."""

    path: Path
    name: str
    raw: bool


def log_file(path: Path, root: Path | None = None) -> LogFile:
    """`path` as a log, named relative to `root`."""
    name = path.name
    shown = str(path.relative_to(root)) if root and path.is_relative_to(root) else str(path)
    return LogFile(path, shown, any(fnmatch.fnmatch(name, glob) for glob in _RAW))


def below(folder: Path, private: Iterable[str] = ()) -> list[LogFile]:
    """Every log below `folder`; files that hold prompts or environments (`private`) are left out.

    A name that links to a file of the same folder (`api_server.log` to today's) is read once.
    """
    globs = tuple(private)
    found: dict[tuple[int, int], LogFile] = {}
    for base, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(base, name)
            if name.endswith(_BINARY) or any(fnmatch.fnmatch(name, glob) for glob in globs):
                continue
            with contextlib.suppress(OSError):
                stat = path.stat()
                if path.is_file() and stat.st_size:
                    found.setdefault((stat.st_dev, stat.st_ino), log_file(path, folder))
    return list(found.values())


def contents(path: Path) -> tuple[bytes, int]:
    """The file's bytes and how many lines are missing before their second half (usually 0).

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= LIMIT:
            return stream.read(), 0
        head = stream.read(LIMIT // 4)
        skipped = 0
        to_skip = size - LIMIT
        while to_skip > 0:
            piece = stream.read(min(to_skip, 4 * 1024 * 1024))
            if not piece:
                break
            skipped += piece.count(b"\n")
            to_skip -= len(piece)
        return head + b"\n" + stream.read(), skipped
