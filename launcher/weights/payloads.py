"""What `model` and `bundle` return; `launcher.codec` writes them as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.codec import written


@dataclass(frozen=True)
class PulledModel:
    """`model pull`: the whole copy in `folder`; `new` is False where it was there already.

    `downloaded_bytes` is what came over the network in this call, `seconds` what the call took.
    """

    model: str
    hub: str
    revision: str | None
    commit: str
    folder: str
    size_bytes: int
    files: int
    new: bool
    downloaded_bytes: int
    seconds: float
    used_by_hub_id: bool


@dataclass(frozen=True)
class VerifiedModel:
    """`model verify`: `damaged` says of each wrong file what is wrong; `extra`: further files."""

    model: str
    hub: str
    commit: str
    folder: str
    size_bytes: int
    files: int
    damaged: tuple[str, ...]
    extra: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class ListedModel:
    """A row of `model list`; `state` is `whole`, `unfinished` or `damaged`."""

    model: str
    hub: str
    state: str
    revisions: tuple[str, ...]
    commit: str | None
    folder: str
    size_bytes: int
    files: int | None = field(default=None, metadata=written(omit=True))
    pulled_at: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class ModelList:
    """`model list`: what is below `folders`."""

    folders: tuple[str, ...]
    models: tuple[ListedModel, ...]


@dataclass(frozen=True)
class BundleEngine:
    """The engine of a bundle: its release and what its wheels are for."""

    name: str
    version: str
    python_version: str
    machine: str
    arch: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class CreatedBundle:
    """`bundle create`."""

    bundle: str
    profile: str
    engine: BundleEngine
    model: str
    commit: str
    files: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True)
class InstalledBundle:
    """`bundle install`: what is in place; the `new_*` are False where it was there already.

    `created_at` is when the bundle was made, UTC.
    """

    bundle: str
    created_at: str
    profile: str
    engine: BundleEngine
    engine_folder: str
    new_engine: bool
    model: str
    model_folder: str
    new_model: bool
    seconds: float
