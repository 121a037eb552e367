"""The launch plan: everything the keeper needs to run one engine, as a value.

A plan is made by a pure function of profile, engine and host, can be printed, compared and
stored, and is the only thing the keeper reads: no engine's code runs inside the keeper. That is
why phases, failure texts, readiness questions, stop signals and leftovers are data here.

`launcher.codec` turns it into JSON and back; `read_plan` reads one that is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from launcher.codec import decode
from launcher.json_values import JsonObject, JsonValue
from launcher.liveness.policy import LivenessPolicy
from launcher.plan.figures import Figures
from launcher.plan.restart import RestartPolicy, with_restart

PLAN_SCHEMA = "ernie-deploy/plan/1"

ADMIN = "admin"
"""The port that the keeper itself listens on; no engine has one of that name."""

Loading = Literal["loading", "ready", "any"]


@dataclass(frozen=True)
class Flag:
    """One option of the engine's command line and why it is there.

    `values` are the argv words after the flag (none for a switch). `reason` is a sentence for the
    reader of `plan`; `origin` the profile place it came from, None where the engine added it.
    """

    flag: str
    values: tuple[str, ...] = ()
    reason: str = ""
    origin: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class EnvVar:
    """One environment variable of the engine and why it is set."""

    name: str
    value: str
    reason: str = ""
    origin: str | None = None


@dataclass(frozen=True)
class PortUse:
    """One TCP port the engine listens on, or the keeper (`ADMIN`).

    `address` is where the engine binds it: the profile's host, or `0.0.0.0` where the engine
    ignores the host. `shown_as` says what a person would call it. `bound` is False where the
    number is only an option's value: the engine listens on the Unix socket `socket` instead, or
    on nothing where that is None. `number` is 0 where there is none (the keeper's Unix socket).
    """

    name: str
    number: int
    address: str
    shown_as: str = ""
    bound: bool = True
    socket: str | None = None


@dataclass(frozen=True)
class SocketUse:
    """A Unix socket the engine listens on that belongs to no port.

    `{pid}` in `path` stands for the engine's first process, known only once it runs.
    """

    path: str
    shown_as: str = ""


@dataclass(frozen=True)
class LogSource:
    """A log to follow: `engine` is the captured output; others are globs below the log folder."""

    name: str
    glob: str | None = None


@dataclass(frozen=True)
class Phase:
    """A named stretch of start-up; phases are listed in the order in which they happen."""

    name: str
    title: str


@dataclass(frozen=True)
class PhaseRule:
    r"""A line that shows which phase the engine is in.

    `pattern` is searched in every line (ANSI codes stripped; `\r` also ends a line) of the log
    named by `source`. A group `percent` (0 to 100), or groups `done` and `total`, or `fraction`
    (0.0 to 1.0) give progress within the phase.
    """

    phase: str
    pattern: str
    source: str = "engine"


@dataclass(frozen=True)
class FailureRule:
    """A line that means the engine has failed.

    `fatal` rules end a start the moment they are seen in state `when`. `summary` rules are fatal
    but only say that something else failed: the diagnosis looks for the cause elsewhere. A
    `consequence` is a failure that often follows another one (a rank that lost its peer): beside
    one of the same moment it is not the cause.
    `retry` says whether starting again unchanged can help. Groups of `pattern` may be used in
    `cause` and `remedy` as `{name}`. `kind` ranks the rules for a diagnosis: a `failure` explains
    an end, a `warning` a server that runs badly, a `request` that one client was refused.
    """

    id: str
    pattern: str
    cause: str
    remedy: str
    when: Loading = "loading"
    fatal: bool = True
    summary: bool = False
    retry: bool = False
    exit_code: int | None = None
    origin: str = ""
    kind: Literal["failure", "warning", "request"] = "failure"
    consequence: bool = False


@dataclass(frozen=True)
class SymptomRule:
    """A failure that leaves no line: it shows from outside. `where` is what was seen."""

    id: str
    cause: str
    remedy: str
    retry: bool
    where: str


@dataclass(frozen=True)
class HealthRule:
    """A failure that shows by the status of the health answer, which has no text to match."""

    status: int
    rule: FailureRule


@dataclass(frozen=True)
class LogRules:
    """How an engine's logs are read for a diagnosis.

    `private` are globs of files that hold prompts or the environment and are never read; `logger`
    of files that only a logger writes: a line without a head belongs to the record before it.
    """

    private: tuple[str, ...] = ()
    logger: tuple[str, ...] = ()
    symptoms: tuple[SymptomRule, ...] = ()
    health: tuple[HealthRule, ...] = ()


@dataclass(frozen=True)
class SettingCheck:
    """A setting the running server reports, compared with what the profile asked for.

    `pointer` walks the JSON answer, keys separated by `/`.
    """

    key: str
    expected: JsonValue
    pointer: str


@dataclass(frozen=True)
class Readiness:
    """The questions that prove readiness, asked of port `port` at `address`.

    `models_path` is None where the engine has no model list; `model` is the name that has to be
    in it (None: any). `completion` is the body of a short completion. `settings_port` and
    `settings_path` name the place that tells the effective settings, None where the release has
    none: then `settings_unknown` says so. `paused_path` tells whether the engine was paused, which
    its health does not show; None where it cannot be. `auth_secret` names the entry of `secrets`
    that is sent as a Bearer token. `health_port` names the port whose own address is asked for
    `health_path`, None: `port`. With an empty `completion` no completion is asked for: the server
    makes none. `health_minimum` are numbers that the JSON answer to the health question has at
    least, by key. `peers` are folders of instances without which the server cannot work: their
    keepers have to call them ready while this one is.
    """

    address: str
    port: str = "api"
    health_path: str = "/health"
    models_path: str | None = "/v1/models"
    model: str | None = None
    completion_path: str = "/v1/chat/completions"
    completion: JsonObject = field(default_factory=dict)
    settings_port: str | None = None
    settings_path: str | None = None
    settings: tuple[SettingCheck, ...] = ()
    settings_unknown: str | None = None
    auth_secret: str | None = None
    probe_timeout: float = 60.0
    paused_path: str | None = None
    health_port: str | None = None
    health_minimum: Mapping[str, int] = field(default_factory=dict)
    peers: tuple[str, ...] = ()


@dataclass(frozen=True)
class StopStage:
    """Send `signal` to the engine's main process or its group, then wait up to `wait` seconds."""

    signal: str
    target: Literal["main", "group"] = "main"
    wait: float = 10.0


@dataclass(frozen=True)
class StopPolicy:
    """Signals by state; after the last stage every recorded process of the tree is killed."""

    loading: tuple[StopStage, ...] = (StopStage("SIGTERM"),)
    ready: tuple[StopStage, ...] = (StopStage("SIGTERM"),)
    drain: float = 0.0


@dataclass(frozen=True)
class FtokKey:
    """A System V message queue's key, `ftok(path, project)`; computed where the engine runs.

    `bits` is 8 for the C library's ftok, 20 for FastDeploy's own (`custom_ftok`).
    """

    path: str
    project: int
    bits: int = 8


@dataclass(frozen=True)
class Leftovers:
    """What the engine can leave behind, to be removed only when proved ours.

    `shm` are names below /dev/shm; `{pid}` stands for the main process, `*` for anything.
    `temporary` are globs of folders or files outside the
    instance's own temporary folder (fixed by the engine's code).
    """

    shm: tuple[str, ...] = ()
    queues: tuple[FtokKey, ...] = ()
    temporary: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExitCodeSource:
    """A line in a log that tells the true exit code of a worker, in group `code`."""

    source: str
    pattern: str


@dataclass(frozen=True)
class NotifyTarget:
    """Whom the keeper tells of changes: a command, or a URL that takes a POST.

    `webhook` is a URL or a secret reference; values of `headers` and `env` may be references.
    `on` are the changes, `timeout` the seconds of one try, `retries` the tries after the first.
    """

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    webhook: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    on: tuple[str, ...] = ()
    timeout: float = 10.0
    retries: int = 3

    @property
    def values(self) -> tuple[str, ...]:
        """Everything that may be a secret reference."""
        return (self.webhook or "", *self.headers.values(), *self.env.values())


@dataclass(frozen=True)
class Deadlines:
    """Seconds; see `launcher.profile.model.Health` and `Stop`."""

    startup: float = 3600.0
    no_progress: float = 600.0
    grace: float = 30.0


@dataclass(frozen=True)
class ProgressRule:
    """How much work, on average over the no-progress deadline, shows that a load goes on.

    `workers` are patterns of command lines. While a process that matches one is alive, it and its
    descendants are judged, every worker for itself, against `cpu` (cores) and `io` (bytes per
    second); the rest of the tree, which only waits for them, against `background_cpu` and
    `background_io`: more than the engine uses while it waits. Where no such process is alive
    (not yet, or the engine has none), the whole tree is judged against `cpu` and `io`.
    """

    workers: tuple[str, ...] = ()
    cpu: float = 0.05
    io: float = 64 * 1024
    background_cpu: float = 0.25
    background_io: float = 256 * 1024


@dataclass(frozen=True)
class LaunchPlan:
    """One engine process to be started, watched and stopped.

    `argv[0]` is an absolute path. `env` is the engine's whole environment but for what is passed
    through from the caller (`pass_env`, names or `PREFIX_*`) and for `secrets`, which maps a
    variable's name to a secret reference resolved at start and never stored. The folders
    `folders`, `log_folder` and `temporary_folder` are made (0700) before the start and belong to
    the instance. `base_url` is what users connect to. `vital` are patterns of command lines whose
    death is the engine's death, whether or not its first process notices. An engine is in
    the first of its `phases` from its start on. `told_to_stop` are
    patterns of lines by which the engine says that it was asked to stop, with the signal's name
    without SIG as group `signal` where it names it: where we did not ask, another did.
    `own_signals` are the names of those that the engine sends itself when a worker has died.
    `gpu_ranks` is how many GPUs of this host the engine takes where `gpus` names none; 0: it runs
    on the CPU. `memory_max` are the bytes of host memory that all processes of the engine may take
    together. `log_rules` is None in a plan that was stored before there were any: then the
    engine's own file holds.
    `figures` is None where the engine tells none of its load.
    `liveness` is None where no verdicts are wanted, and in plans of before. `usage_folder` is where
    the keeper adds up the lines of an access log by key; None: the output has none.
    """

    instance: str
    engine: str
    release: str | None
    argv: tuple[str, ...]
    cwd: str
    log_folder: str
    temporary_folder: str
    module: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    env: tuple[EnvVar, ...] = ()
    pass_env: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortUse, ...] = ()
    gpus: tuple[str, ...] | None = None
    gpu_ranks: int = 0
    base_url: str = ""
    model: str = ""
    served_model: str | None = None
    log_sources: tuple[LogSource, ...] = (LogSource("engine"),)
    phases: tuple[Phase, ...] = ()
    phase_rules: tuple[PhaseRule, ...] = ()
    failure_rules: tuple[FailureRule, ...] = ()
    noise: tuple[str, ...] = ()
    log_rules: LogRules | None = None
    readiness: Readiness = Readiness("127.0.0.1")
    stop: StopPolicy = StopPolicy()
    leftovers: Leftovers = Leftovers()
    exit_codes: tuple[ExitCodeSource, ...] = ()
    vital: tuple[str, ...] = ()
    told_to_stop: tuple[str, ...] = ()
    own_signals: tuple[str, ...] = ()
    progress: ProgressRule = ProgressRule()
    folders: tuple[str, ...] = ()
    sockets: tuple[SocketUse, ...] = ()
    deadlines: Deadlines = Deadlines()
    figures: Figures | None = None
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    liveness: LivenessPolicy | None = None
    memory_max: int | None = None
    log_max_size: int = 64 * 1024 * 1024
    log_keep: int = 5
    engine_log_max_size: int = 2 * 1024 * 1024 * 1024
    allow_differences: tuple[str, ...] = ()
    notify: tuple[NotifyTarget, ...] = ()
    usage_folder: str | None = None
    notes: tuple[str, ...] = ()
    schema: str = PLAN_SCHEMA

    def port(self, name: str) -> PortUse:
        """The port called `name`.

        Raises:
            KeyError: the plan has no such port.
        """
        for use in self.ports:
            if use.name == name:
                return use
        raise KeyError(name)

    @property
    def health_use(self) -> PortUse:
        """Where the health question is asked: port and address.

        Raises:
            KeyError: the plan has no such port.
        """
        readiness = self.readiness
        if readiness.health_port is not None:
            return self.port(readiness.health_port)
        return replace(self.port(readiness.port), address=readiness.address)

    @property
    def engine_ports(self) -> tuple[PortUse, ...]:
        """The ports that the engine is given: all but the keeper's own."""
        return tuple(use for use in self.ports if use.name != ADMIN)

    @property
    def admin(self) -> PortUse | None:
        """Where the keeper listens; None in a plan that was stored before there was that."""
        return next((use for use in self.ports if use.name == ADMIN), None)

    @property
    def numbers(self) -> dict[str, int]:
        """The number of every port, by name."""
        return {use.name: use.number for use in self.ports if use.number}


def read_plan(value: JsonValue) -> LaunchPlan:
    """The plan stored as `value`, by this release or an earlier one; unknown keys are ignored.

    Raises:
        ValueError: it is not a launch plan of a schema we know; names the wrong field.
    """
    document = with_restart(value) if isinstance(value, Mapping) else value
    return decode(LaunchPlan, document, "plan", schema=PLAN_SCHEMA, tolerant=True)
