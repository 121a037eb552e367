"""A profile after reading: plain typed values, each with the place it came from.

Built by `launcher.profile.load`; nothing in here knows an engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from launcher.errors import Problem

Port = int | Literal["auto"]


@dataclass(frozen=True)
class Origin:
    """Where a value came from.

    `source` is a file's path, `--set`, `--name`, `default` or `environment`; line and column count
    from 1 and are None outside files. `note` says more ("variable MODEL_DIR", "extends").
    """

    source: str
    line: int | None = None
    column: int | None = None
    note: str | None = None

    def text(self) -> str:
        """`file:line:column`, or the option's name."""
        if self.line is None:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class SecretRef:
    """A reference to a secret; the secret itself is never part of a profile.

    `kind` is `env` (a variable's name), `file` (a path) or `cmd` (a command line, split as a shell
    splits words but never given to a shell).
    """

    kind: Literal["env", "file", "cmd"]
    value: str

    def text(self) -> str:
        """The reference as it is written in a profile."""
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True)
class Parsers:
    """Neutral parser names; each engine translates them to what its release calls them."""

    reasoning: str | None = None
    tool_call: str | None = None


@dataclass(frozen=True)
class Health:
    """Deadlines and intervals of start-up, all in seconds.

    `startup_timeout` bounds the whole start. `no_progress_timeout` bounds a silence in which no
    phase line came and the engine's workers did next to nothing on average. `probe_timeout`
    bounds one readiness question. `allow_differences` names settings in which the running server
    may differ from the profile.
    """

    startup_timeout: float = 3600.0
    no_progress_timeout: float = 600.0
    probe_timeout: float = 60.0
    allow_differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restart:
    """What the keeper does when a ready engine dies: `never` (the default) or `on-failure`."""

    policy: Literal["never", "on-failure"] = "never"
    max_restarts: int = 3
    delay: float = 5.0


@dataclass(frozen=True)
class Stop:
    """How `down` ends the engine, in seconds.

    `drain` is how long running requests may go on; `grace` how long the engine may take after
    that before it is killed.
    """

    drain: float = 0.0
    grace: float = 30.0


@dataclass(frozen=True)
class Logs:
    """Bounds of what is kept on disk: bytes a file, files kept, bytes of the engine's own logs."""

    max_size: int = 64 * 1024 * 1024
    keep: int = 5
    engine_max_size: int = 2 * 1024 * 1024 * 1024


@dataclass(frozen=True)
class Profile:
    """What the operator asks for; every optional key is None or empty when not given.

    `resolved` is the whole profile as plain JSON types, after extends, overlays, variables and
    `--set`, keys in kebab-case as in the file: two profiles ask for the same exactly when their
    `resolved` are equal. `origins` maps a key path (`engine-args.load-choices`, `ports.api`) to its
    place. `path` is the file the profile was read from, `text` that file's content.
    """

    name: str
    engine: str
    model: str
    description: str | None = None
    engine_version: str | None = None
    revision: str | None = None
    cache_dir: str | None = None
    served_model_name: str | None = None
    host: str = "127.0.0.1"
    ports: Mapping[str, Port] = field(default_factory=dict)
    gpus: tuple[str, ...] | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    tensor_parallel_size: int | None = None
    quantization: str | None = None
    parsers: Parsers = Parsers()
    api_key: SecretRef | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    health: Health = Health()
    restart: Restart = Restart()
    stop: Stop = Stop()
    smoke: Mapping[str, Any] = field(default_factory=dict)
    logs: Logs = Logs()
    hosted: Mapping[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    path: str | None = None
    text: str = ""
    notes: tuple[Problem, ...] = ()

    @property
    def model_is_path(self) -> bool:
        """True where `model` names a local folder rather than a hub id (decided by the loader)."""
        return self.model.startswith("/")

    def where(self, key_path: str) -> str | None:
        """The place of a key, or of its nearest enclosing key, for an error message."""
        path = key_path
        while path:
            if path in self.origins:
                return self.origins[path].text()
            path = path.rpartition(".")[0]
        return self.path
