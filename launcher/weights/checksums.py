"""Reads a file once and says everything that a hub may have listed of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher import files

CHUNK = 4 * 1024 * 1024
"""Bytes of one read."""


@dataclass(frozen=True)
class Checksums:
    """Of one file: bytes, SHA-256, and the SHA-1 of git's blob of it (None: not asked for).

    `pointer` is the blob that git has where the file is kept in LFS: of the text with the SHA-256
    (git-lfs, docs/spec.md). AI Studio lists that one.
    """

    size: int
    sha256: str
    blob: str | None
    pointer: str


def calculate(
    path: Path,
    *,
    git: bool = False,
    on_bytes: Callable[[int], None] | None = None,
    sync: bool = False,
) -> Checksums:
    """Read the plain file at `path`; `git` asks for its blob, `sync` also brings it to the disk.

    Raises:
        OSError: it is not there, cannot be read or is not a plain file.
    """
    descriptor = files.open_plain(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        sha256 = hashlib.sha256()
        blob = _git(size) if git else None
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            if blob is not None:
                blob.update(chunk)
            if on_bytes is not None:
                on_bytes(len(chunk))
        if sync:
            os.fsync(descriptor)
    digest = sha256.hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
    pointer = _git(len(text))
    pointer.update(text.encode())
    return Checksums(size, digest, blob.hexdigest() if blob else None, pointer.hexdigest())


def _git(size: int) -> hashlib._Hash:
    """SHA-1 as git starts it; it names a blob and protects nothing."""
    digest = hashlib.sha1(usedforsecurity=False)
    digest.update(f"blob {size}\0".encode())
    return digest
