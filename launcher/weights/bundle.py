"""A bundle: engine, weights, profile and tool for a host without a network, as a folder or a tar.

    bundle.json      every other file with its size and SHA-256
    README.txt       the two commands
    profile.yaml     the profile, with everything put in
    tool/            ernie-deploy and what it needs, as wheels
    engine/          the engine's wheels
    model/           the weights and their manifest

A tar has these below one folder, `bundle.json` first. It is read and never unpacked as a whole, so
no name in it can lead out of a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher import files
from launcher.codec import DecodeError, decode, encode
from launcher.errors import DeployError, PreconditionError, Problem
from launcher.json_values import JsonValue, object_at, text_at
from launcher.weights.checksums import CHUNK
from launcher.weights.manifest import path_problem
from launcher.weights.payloads import BundleEngine

NAME = "bundle.json"
SCHEMA = "ernie-deploy/bundle/1"
PROFILE, README = "profile.yaml", "README.txt"
TOOL, ENGINE, MODEL = "tool", "engine", "model"
MOST_MEMBERS = 200_000


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle; `path` is relative to its folder."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """`bundle.json`; `profile` is the profile's name, `created_at` UTC.

    `gpu`: the machine that made it had a GPU, so torch's wheels are those for one.
    """

    schema: str
    created_at: str
    tool: str
    profile: str
    engine: BundleEngine
    gpu: bool
    files: tuple[BundleFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)

    def text(self) -> str:
        """The file."""
        return json.dumps(encode(self), indent=1) + "\n"

    def below(self, folder: str) -> tuple[BundleFile, ...]:
        """The files of one folder."""
        return tuple(one for one in self.files if one.path.startswith(f"{folder}/"))


class Source(ABC):
    """Where a bundle is read from."""

    def __init__(self, path: Path) -> None:
        """Read from `path`."""
        self.path = path

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Every file with its size."""

    @abstractmethod
    def open(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """One file."""

    def copy(
        self, one: BundleFile, target: Path, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        """Write a file to the new `target`, which must become what the manifest says.

        Raises:
            PreconditionError: `bundle-damaged`.
            OSError: the disk is full.
        """
        with self.open(one.path) as source, target.open("xb") as output:
            digest = copy_stream(source, output, on_bytes)
            output.flush()
            os.fsync(output.fileno())
        if digest != one.sha256:
            target.unlink()
            raise damaged(self.path, [f"{one.path} changed while it was read"])


class Folder(Source):
    """A bundle as a folder."""

    def sizes(self) -> dict[str, int]:
        """Every file with its size."""
        sizes = {}
        for base, folders, names in os.walk(self.path):
            for name in [*folders, *names]:
                path = Path(base, name)
                inside = str(path.relative_to(self.path))
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise damaged(self.path, [f"{inside} is neither a file nor a folder"])
                if path.is_file():
                    sizes[inside] = path.stat().st_size
        return sizes

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """One file."""
        with os.fdopen(files.open_plain(self.path / path, os.O_RDONLY), "rb") as stream:
            yield stream


class Tar(Source):
    """A bundle as a tar file."""

    def __init__(self, path: Path) -> None:
        """Open the file and read its table.

        Raises:
            PreconditionError: `bad-bundle`, `bundle-damaged`.
        """
        super().__init__(path)
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed by `open_source`
            self._members = self._table()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise bad(path, f"it is not a whole tar file: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._tar.close()

    def _table(self) -> dict[str, tarfile.TarInfo]:
        members: dict[str, tarfile.TarInfo] = {}
        for number, member in enumerate(self._tar):
            _, _, inside = member.name.partition("/")
            if member.isdir():
                continue
            if not member.isreg() or not inside or inside in members or number > MOST_MEMBERS:
                raise damaged(self.path, [f"{member.name!r} is not a file of a bundle"])
            members[inside] = member
        return members

    def sizes(self) -> dict[str, int]:
        """Every file with its size."""
        return {path: member.size for path, member in self._members.items()}

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """One file."""
        stream = self._tar.extractfile(self._members[path])
        if stream is None:
            raise damaged(self.path, [f"{path} is not a file"])
        with stream:
            yield stream


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The bundle at `path`.

    Raises:
        PreconditionError: `bad-bundle`: it is neither a folder nor a tar file.
    """
    if path.is_dir():
        yield Folder(path)
        return
    if not path.is_file():
        raise bad(path, "it is not there" if not path.exists() else "it is not a plain file")
    tar = Tar(path)
    try:
        yield tar
    finally:
        tar.close()


def read(source: Source) -> Bundle:
    """The manifest of a bundle.

    Raises:
        PreconditionError: `bad-bundle`.
    """
    size = source.sizes().get(NAME)
    if size is None:
        raise bad(source.path, f"it has no {NAME}")
    if size > files.LONGEST_TEXT:
        raise bad(source.path, f"its {NAME} has {size} bytes")
    try:
        with source.open(NAME) as stream:
            data: JsonValue = json.loads(stream.read())
        schema = text_at(object_at(data), "schema")
        if schema != SCHEMA:
            raise bad(source.path, f"its schema is {schema or 'missing'!r}, not {SCHEMA!r}")
        bundle = decode(Bundle, data, NAME, tolerant=True)
    except (OSError, ValueError, DecodeError) as error:
        raise bad(source.path, f"{NAME}: {error}") from None
    for one in bundle.files:
        problem = path_problem(one.path) or ("its name is ours" if one.path == NAME else None)
        if problem or one.size < 0:
            raise bad(source.path, f"{NAME}: the path {one.path!r}: {problem or 'its size'}")
    return bundle


def check(source: Source, bundle: Bundle, on_bytes: Callable[[int], None]) -> None:
    """Read every file and compare it with the manifest.

    Raises:
        PreconditionError: `bundle-damaged`, with every file that is wrong.
    """
    sizes = source.sizes()
    listed = {one.path for one in bundle.files} | {NAME}
    wrong = [f"{path} is not in {NAME}" for path in sorted(sizes.keys() - listed)]
    if len(listed) != len(bundle.files) + 1:
        wrong.append(f"{NAME} lists a file twice")
    for one in bundle.files:
        size = sizes.get(one.path)
        if size != one.size:
            reason = "is missing" if size is None else f"has {size} bytes, {one.size} expected"
            wrong.append(f"{one.path} {reason}")
            continue
        try:
            with source.open(one.path) as stream:
                digest = copy_stream(stream, None, on_bytes)
        except (tarfile.TarError, OSError) as error:
            wrong.append(f"{one.path} cannot be read: {error}")
            continue
        if digest != one.sha256:
            wrong.append(f"{one.path} has another SHA-256")
    if wrong:
        raise damaged(source.path, wrong)


def copy_stream(
    source: IO[bytes], target: IO[bytes] | None, on_bytes: Callable[[int], None] | None = None
) -> str:
    """Copy to the end; returns the SHA-256 of what was read."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
        if on_bytes is not None:
            on_bytes(len(chunk))
    return digest.hexdigest()


def bad(path: Path, message: str) -> DeployError:
    """The error of a file that is not a bundle."""
    return PreconditionError.of(
        "bad-bundle", f"{path} is not a bundle: {message}", str(path),
        "`ernie-deploy bundle create PROFILE` makes one",
    )  # fmt: skip


def damaged(path: Path, wrong: list[str]) -> DeployError:
    """The error of a bundle that is not as it was made."""
    more = [f"and {len(wrong) - 10} more"] if len(wrong) > 10 else []
    return PreconditionError(
        Problem(
            "bundle-damaged", f"the bundle is damaged: {'; '.join([*wrong[:10], *more])}",
            str(path), "copy it again, and compare its sha256sum; nothing was changed",
        )
    )  # fmt: skip
