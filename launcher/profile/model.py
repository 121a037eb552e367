"""A profile after reading: plain typed values, each with the place it came from.

Built by `launcher.profile.load`; nothing in here knows an engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from launcher.errors import Problem
from launcher.json_values import JsonObject, JsonValue, integer_at
from launcher.profile.service import ServiceSettings

Port = int | Literal["auto", "unix"]
KEEPER_PORT = "admin"
"""The port that the keeper itself listens on; `launcher.plan.model.ADMIN` in a plan."""


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

    @classmethod
    def of(cls, text: str) -> SecretRef | None:
        """The reference that `text` is, None where it is not one."""
        kind, _, value = text.partition(":")
        kinds: tuple[Literal["env", "file", "cmd"], ...] = ("env", "file", "cmd")
        return next((cls(one, value) for one in kinds if one == kind), None)

    def text(self) -> str:
        """The reference as it is written in a profile."""
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True)
class Health:
    """Deadlines and intervals of start-up, all in seconds.

    `startup_timeout` bounds the whole start. `no_progress_timeout` bounds a silence in which no
    phase line came and the engine's workers did next to nothing on average. `probe_timeout`
    bounds one readiness question. `completion` False asks for none: the server is one of several
    nodes and answers no requests. `allow_differences` names settings in which the running server
    may differ from the profile.
    """

    startup_timeout: float = 3600.0
    no_progress_timeout: float = 600.0
    probe_timeout: float = 60.0
    completion: bool = True
    allow_differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restart:
    """What the keeper does when an engine that was ready fails; see `launcher.plan.restart`.

    `window`, `first_delay` and `max_delay` are seconds.
    """

    policy: Literal["never", "on-failure", "always"] = "on-failure"
    max_restarts: int = 5
    window: float = 600.0
    first_delay: float = 1.0
    max_delay: float = 60.0
    on_stall: Literal["restart", "report"] = "restart"


@dataclass(frozen=True)
class Liveness:
    """When a ready server counts as stalled, in seconds; see `launcher.liveness.policy`."""

    interval: float = 5.0
    stall_after: float = 30.0
    compute_stall_after: float = 300.0
    canary: bool = True
    canary_interval: float = 8.0
    canary_deadline: float = 8.0


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

    `notify` are the targets as `launcher.profile.notify_type` reads them, every default put in.
    `slo` are the objectives of `bench` and `deploy`, in seconds and shares. `render` is what only
    `ernie-deploy render` reads.
    `settings` are the neutral keys that the profile gives, by path (`max-num-seqs`,
    `parsers.reasoning`): each engine maps them to its own options, or refuses them. `resolved` is
    the whole profile as plain JSON types, after extends, overlays, variables and `--set`, keys in
    kebab-case as in the file: two profiles ask for the same exactly when their `resolved` are
    equal. `origins` maps a key path (`engine-args.load-choices`, `ports.api`) to its place. `path`
    is the file the profile was read from, `text` that file's content. `hub_cache` is the cache of
    the Hugging Face hub that has the whole model (`launcher.weights.pulled` finds it).
    """

    name: str
    engine: str
    model: str
    description: str | None = None
    engine_version: str | None = None
    host: str = "127.0.0.1"
    admin_host: str = "127.0.0.1"
    ports: Mapping[str, Port] = field(default_factory=dict)
    gpus: tuple[str, ...] | None = None
    settings: JsonObject = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    engine_args: JsonObject = field(default_factory=dict)
    health: Health = Health()
    memory_max: int | None = None
    restart: Restart = Restart()
    liveness: Liveness = Liveness()
    stop: Stop = Stop()
    smoke: JsonObject = field(default_factory=dict)
    slo: JsonObject = field(default_factory=dict)
    logs: Logs = Logs()
    notify: tuple[JsonObject, ...] = ()
    service: ServiceSettings | None = None
    hosted: JsonObject = field(default_factory=dict)
    render: JsonObject = field(default_factory=dict)
    resolved: JsonObject = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    path: str | None = None
    text: str = ""
    notes: tuple[Problem, ...] = ()
    hub_cache: str | None = None

    def setting(self, key_path: str) -> JsonValue:
        """The value of a neutral key, None where the profile does not give it."""
        return self.settings.get(key_path)

    @property
    def max_model_len(self) -> int | None:
        """Context length in tokens."""
        return self._integer("max-model-len")

    @property
    def max_num_seqs(self) -> int | None:
        """Maximum number of concurrent sequences."""
        return self._integer("max-num-seqs")

    @property
    def tensor_parallel_size(self) -> int | None:
        """GPUs that share one copy of the weights."""
        return self._integer("tensor-parallel-size")

    @property
    def quantization(self) -> str | None:
        """Weight format made while loading, in the engine's own word."""
        return self._text("quantization")

    @property
    def revision(self) -> str | None:
        """Branch, tag or commit of the hub id."""
        return self._text("revision")

    @property
    def cache_dir(self) -> str | None:
        """Folder for downloaded weights."""
        return self._text("cache-dir")

    @property
    def served_model_name(self) -> str | None:
        """The model's name in the API."""
        return self._text("served-model-name")

    @property
    def api_key(self) -> SecretRef | None:
        """The reference to the key that clients must send."""
        reference = self._text("api-key")
        return SecretRef.of(reference) if reference is not None else None

    def _integer(self, key_path: str) -> int | None:
        return integer_at(self.settings, key_path)

    def _text(self, key_path: str) -> str | None:
        value = self.settings.get(key_path)
        return value if isinstance(value, str) else None

    @property
    def model_is_path(self) -> bool:
        """True where `model` names a local folder rather than a hub id (decided by the loader)."""
        return self.model.startswith("/")

    @property
    def model_is_here(self) -> bool:
        """True where the engine loads the model without a download."""
        return self.model_is_path or self.hub_cache is not None

    def where(self, key_path: str) -> str | None:
        """The place of a key, or of its nearest enclosing key, for an error message."""
        path = key_path
        while path:
            if path in self.origins:
                return self.origins[path].text()
            path = path.rpartition(".")[0]
        return self.path
