"""What a hub says a model consists of, checked before a byte is downloaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcher.errors import DeployError, PreconditionError
from launcher.json_values import JsonObject, at, integer_at, list_at, object_at, text_at
from launcher.weights.checksums import Checksums
from launcher.weights.manifest import is_commit, path_problem

_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "git": re.compile(r"[0-9a-f]{40}")}
MOST_FILES = 100_000


@dataclass(frozen=True)
class ListedFile:
    """A file as the hub lists it: `sha256`, or the SHA-1 of its git blob, or both.

    `entry` is what the client needs to download it.
    """

    path: str
    size: int
    sha256: str | None
    git: str | None
    entry: JsonObject

    def problem(self, actual: Checksums) -> str | None:
        """What is wrong with a file that has these checksums; None: it is this one."""
        if actual.size != self.size:
            return f"has {actual.size} bytes, the hub lists {self.size}"
        if self.sha256 is not None:
            if actual.sha256 != self.sha256:
                return f"has SHA-256 {actual.sha256}, the hub lists {self.sha256}"
        elif self.git not in (actual.blob, actual.pointer):
            return f"is git blob {actual.blob}, the hub lists {self.git}"
        return None


@dataclass(frozen=True)
class Listing:
    """A model at a commit; `is_default`: the hub's default branch was asked for."""

    commit: str
    is_default: bool
    files: tuple[ListedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


def read_listing(event: JsonObject, hub: str, source: str) -> Listing:
    """The listing in an event of the client.

    Raises:
        PreconditionError: `bad-listing`: a path leads out of the folder, a file has no checksum.
    """
    commit = text_at(event, "commit")
    if not is_commit(commit):
        raise _bad(hub, source, f"the revision has no commit ({commit!r})")
    files = [_file(object_at(one), hub, source) for one in list_at(event, "files")]
    _check_paths([one.path for one in files], hub, source)
    return Listing(commit, at(event, "default") is True, tuple(files))


def _file(entry: JsonObject, hub: str, source: str) -> ListedFile:
    path, size = text_at(entry, "path"), integer_at(entry, "size")
    problem = path_problem(path)
    if problem:
        raise _bad(hub, source, f"the path {path!r}: {problem}")
    if size is None or size < 0:
        raise _bad(hub, source, f"{path} has no size")
    digests: Mapping[str, str | None] = {
        name: text_at(entry, name).lower() or None for name in _HEX
    }
    for name, digest in digests.items():
        if digest is not None and not _HEX[name].fullmatch(digest):
            raise _bad(hub, source, f"{path} has the checksum {digest!r}")
    if not any(digests.values()):
        raise _bad(hub, source, f"{path} has no checksum, so nothing could prove that it is whole")
    return ListedFile(path, size, digests["sha256"], digests["git"], entry)


def _check_paths(paths: Sequence[str], hub: str, source: str) -> None:
    if not paths:
        raise _bad(hub, source, "it has no files")
    if len(paths) > MOST_FILES:
        raise _bad(hub, source, f"it has more than {MOST_FILES} files")
    listed = set(paths)
    if len(listed) < len(paths):
        raise _bad(hub, source, "a file is listed twice")
    for path in paths:
        parts = path.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in listed:
                raise _bad(hub, source, f"{'/'.join(parts[:count])} is a file and a folder")


def _bad(hub: str, source: str, message: str) -> DeployError:
    return PreconditionError.of(
        "bad-listing", f"{hub}: the list of files of {source} cannot be used: {message}", None,
        "try another hub (--hub) or another revision (--revision)",
    )  # fmt: skip
