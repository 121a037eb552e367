"""The manifest in a model's folder: every file with its size and its SHA-256.

It is written last, before the folder gets its name: a folder with a manifest was whole.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from launcher import files
from launcher.codec import DecodeError, decode, encode, written
from launcher.errors import DeployError, PreconditionError
from launcher.json_values import JsonValue, object_at, text_at

NAME = "ernie-deploy-model.json"
SCHEMA = "ernie-deploy/model/1"
LOCAL = "local"
"""The hub of a model that came from a folder."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")


@dataclass(frozen=True)
class ModelFile:
    """One file; `path` is relative, with slashes. `git` is the git blob that the hub listed."""

    path: str
    size: int
    sha256: str
    git: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class Manifest:
    """A model: which, from which hub, at which commit, and its files.

    `source` is the model's name on the hub, `revision` what was asked for (None: the hub's default
    branch), `commit` what it was then, `pulled_at` UTC.
    """

    schema: str
    model: str
    hub: str
    source: str
    revision: str | None
    commit: str
    pulled_at: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)

    def text(self) -> str:
        """The file."""
        return json.dumps(encode(self), indent=1) + "\n"


def read(folder: Path) -> Manifest | None:
    """The manifest of `folder`; None where there is none.

    Raises:
        PreconditionError: `bad-manifest`: it is damaged, or of a newer release.
    """
    path = folder / NAME
    try:
        data: JsonValue = json.loads(files.read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _bad(path, f"it cannot be read: {error}") from None
    return of_json(data, path)


def of_json(data: JsonValue, path: Path) -> Manifest:
    """The manifest in `data`, which comes from `path`.

    Raises:
        PreconditionError: `bad-manifest`.
    """
    schema = text_at(object_at(data), "schema")
    if schema != SCHEMA:
        raise _bad(path, f"its schema is {schema or 'missing'!r}, not {SCHEMA!r}")
    try:
        manifest = decode(Manifest, data, NAME, tolerant=True)
    except DecodeError as error:
        raise _bad(path, str(error)) from None
    for one in manifest.files:
        problem = path_problem(one.path)
        if problem or one.size < 0 or not _SHA256.fullmatch(one.sha256):
            raise _bad(path, f"the entry of {one.path!r} is wrong: {problem or 'size or SHA-256'}")
    if not is_commit(manifest.commit):
        raise _bad(path, f"its commit {manifest.commit!r} cannot be the name of a folder")
    return manifest


def is_commit(text: str) -> bool:
    """Whether it can be a commit, and so the name of a folder."""
    return bool(_COMMIT.fullmatch(text))


def path_problem(path: str) -> str | None:
    """Why a file may not have this path in a model or a bundle; None: it may."""
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or "\\" in path or not path.isprintable():
        return "it is not a relative path"
    if any(part in ("..", ".") for part in path.split("/")) or "/".join(parts) != path:
        return "it leads out of the folder"
    if len(path.encode()) > 1000 or any(len(part.encode()) > 255 for part in parts):
        return "it is too long"
    if parts[0] == NAME:
        return "it is the name of our own manifest"
    return None


def _bad(path: Path, message: str) -> DeployError:
    return PreconditionError.of(
        "bad-manifest", f"the manifest {path} is damaged: {message}", str(path),
        "`ernie-deploy model pull` writes it again; remove the folder first",
    )  # fmt: skip
