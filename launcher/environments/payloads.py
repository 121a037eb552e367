"""What the verbs about engines return; `launcher.codec` writes them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.codec import written


@dataclass(frozen=True)
class AvailableEngine:
    """An engine that can be installed: its default release, and those that are supported."""

    name: str
    distribution: str
    default: str
    supported: str
    about: str


@dataclass(frozen=True)
class EngineEnvironment:
    """`engine path`: an installed environment; what its marker does not say is left out.

    `removed` maps distributions that the engine must not have to why. `seconds` and `size_bytes`
    are of the install, `log` is its output.
    """

    name: str
    version: str
    folder: str
    python: str
    base_python: str | None = field(default=None, metadata=written(omit=True))
    python_version: str | None = field(default=None, metadata=written(omit=True))
    distributions: Mapping[str, str] | None = field(default=None, metadata=written(omit=True))
    removed: Mapping[str, str] | None = field(default=None, metadata=written(omit=True))
    verified: bool | None = field(default=None, metadata=written(omit=True))
    installed_at: str | None = field(default=None, metadata=written(omit=True))
    seconds: float | None = field(default=None, metadata=written(omit=True))
    size_bytes: int | None = field(default=None, metadata=written(omit=True))
    log: str | None = field(default=None, metadata=written(omit=True))
    arch: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class EngineList:
    """`engine list`: below `folder`."""

    folder: str
    installed: tuple[EngineEnvironment, ...]
    unfinished: tuple[str, ...]
    available: tuple[AvailableEngine, ...]


@dataclass(frozen=True)
class EngineInstall:
    """`engine install`; `new` is False where it was there already."""

    environment: EngineEnvironment = field(metadata=written(inline=True))
    new: bool


@dataclass(frozen=True)
class PlannedInstall:
    """`engine install --dry-run`: what would be run, and the disk that it takes in bytes."""

    name: str
    version: str
    folder: str
    base_python: str
    python_version: str
    disk_bytes: int | None
    commands: tuple[str, ...]
    notes: tuple[str, ...]
    dry_run: bool = True
    arch: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class Checked:
    """How many entries of a profile were checked."""

    keys: int
    flags: int
    variables: int


@dataclass(frozen=True)
class Validation:
    """`validate`: the profile is right for `release` (None: see `checked_against`)."""

    profile: str | None
    name: str
    engine: str
    release: str | None
    engine_version: str | None
    checked_against: str
    checked: Checked
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ReleaseChanges:
    """`profiles diff-release`: what changes for a profile; every entry is a sentence."""

    old: str
    new: str
    gone: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    behaviour: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
