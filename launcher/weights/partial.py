"""What was downloaded of a model so far: a folder that is renamed once it is whole.

Which of its files were verified is kept in a journal, so that a pull that goes on after an
interruption does not read 600 GB again. A file whose size, time or inode changed is read again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from launcher import files, paths
from launcher.json_values import JsonValue, integer_at, list_at, object_at, text_at
from launcher.weights import manifest
from launcher.weights.checksums import Checksums, calculate
from launcher.weights.listing import ListedFile
from launcher.weights.manifest import Manifest, ModelFile

JOURNAL = ".ernie-deploy-verified.json"
_PARTS = (".ernie-deploy-parts", "._tmp")
"""Folders of partial files: ours for huggingface, that of aistudio's client."""
_CLIENT_FILES = (".msc", ".mdl", ".mv")
"""Notes of aistudio's client: it believes them where a file is missing."""


class Partial:
    """The folder of an unfinished download."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, or go on with it."""
        self.folder = paths.private_folder(folder)
        self._journal = self._read_journal()

    def bytes_of_parts(self) -> int:
        """Bytes of files that are not complete yet."""
        total = 0
        for base, _, names in os.walk(self.folder):
            inside = Path(base).relative_to(self.folder).parts[:1]
            for name in names:
                if (inside and inside[0] in _PARTS) or name.endswith(".incomplete"):
                    with contextlib.suppress(OSError):
                        total += os.lstat(os.path.join(base, name)).st_size
        return total

    def check(
        self, listed: ListedFile, on_bytes: Callable[[int], None]
    ) -> tuple[ModelFile | None, str | None]:
        """The file of the manifest, verified; else None and what is wrong (None: it is missing).

        A file with wrong bytes is removed.

        Raises:
            OSError: it cannot be read.
        """
        path = self.folder / listed.path
        digest = self._known(path, listed)
        if digest is not None:
            on_bytes(listed.size)
            return ModelFile(listed.path, listed.size, digest, listed.git), None
        try:
            sums = calculate(path, git=listed.sha256 is None, on_bytes=on_bytes, sync=True)
        except FileNotFoundError:
            return None, None
        problem = listed.problem(sums)
        if problem:
            path.unlink()
            return None, f"{listed.path} {problem}"
        self._journal[listed.path] = _stamp(path, sums)
        return ModelFile(listed.path, sums.size, sums.sha256, listed.git), None

    def link(self, source: Path, path: str) -> None:
        """Take a file of another copy on the same file system, where `path` is not there yet."""
        target = self.folder / path
        paths.private_folder(target.parent)
        with contextlib.suppress(OSError):  # another file system, no links there: it is downloaded
            os.link(source, target)

    def prepare(self) -> None:
        """Remove what would mislead a client."""
        for name in _CLIENT_FILES:
            (self.folder / name).unlink(missing_ok=True)

    def forget(self) -> None:
        """Read every file again, whatever was verified before."""
        self._journal = {}
        self.remember()

    def remember(self) -> None:
        """Write down which files were verified."""
        files.write_atomically(self.folder / JOURNAL, json.dumps(self._journal))

    def finish(self, made: Manifest, target: Path) -> None:
        """Leave the files of the manifest, and give the folder its name: the last step.

        Raises:
            OSError: the disk is full, or something is at `target`.
        """
        keep = {one.path for one in made.files}
        _remove_others(self.folder, keep)
        files.write_atomically(self.folder / manifest.NAME, made.text())
        for folder in {(self.folder / one).parent for one in keep} | {self.folder}:
            _sync(folder)
        paths.private_folder(target.parent)
        if target.is_dir() and not target.is_symlink():
            target.rmdir()  # an empty folder that the user made
        self.folder.rename(target)
        _sync(target.parent)

    def _known(self, path: Path, listed: ListedFile) -> str | None:
        """The SHA-256 of a file that was verified and did not change since."""
        entry = object_at(self._journal, listed.path)
        sha256 = text_at(entry, "sha256")
        try:
            info = os.lstat(path)
        except OSError:
            return None
        stamp = [integer_at(one) for one in list_at(entry, "stamp")]
        if stamp != [info.st_size, info.st_mtime_ns, info.st_ino] or info.st_size != listed.size:
            return None
        if listed.sha256 is not None:
            return sha256 if sha256 == listed.sha256 else None
        return sha256 if listed.git in (text_at(entry, "blob"), text_at(entry, "pointer")) else None

    def _read_journal(self) -> dict[str, JsonValue]:
        try:
            return dict(object_at(json.loads(files.read_text(self.folder / JOURNAL))))
        except (OSError, ValueError):
            return {}


def _stamp(path: Path, sums: Checksums) -> JsonValue:
    info = os.lstat(path)
    return {
        "sha256": sums.sha256, "blob": sums.blob, "pointer": sums.pointer,
        "stamp": [info.st_size, info.st_mtime_ns, info.st_ino],
    }  # fmt: skip


def _remove_others(folder: Path, keep: Iterable[str]) -> None:
    """Remove every file but `keep` (relative paths), and the folders that are empty then."""
    kept = set(keep)
    for base, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(base, name)
            if str(path.relative_to(folder)) not in kept:
                path.unlink()
        if Path(base) != folder and not any(os.scandir(base)):
            os.rmdir(base)
    for name in _PARTS:
        shutil.rmtree(folder / name, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Bring a folder's entries to the disk: a power failure must not leave a half of them."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
