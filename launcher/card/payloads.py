"""The serving card as a value: what `report` returns; `launcher.codec` writes it as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from launcher.bench.result import BenchRun
from launcher.codec import written
from launcher.doctor.model import Finding
from launcher.instance.instance_status import InstanceStatus
from launcher.json_values import JsonObject, JsonValue
from launcher.observe.figures import Load
from launcher.observe.incidents import IncidentRow
from launcher.plan.memory import MemoryLesson, MemoryPlan
from launcher.service.model import HistoryEntry
from launcher.service.payloads import ServiceStatus
from launcher.smoke.run.results import SmokeRun

PartVerdict = Literal["pass", "fail", "inconclusive", "could not check", "note"]
"""`note`: worth reading, and no judgement."""


@dataclass(frozen=True)
class Part:
    """One line of the card's summary; a part that fails makes the exit code 1."""

    name: str
    title: str
    verdict: PartVerdict
    message: str


@dataclass(frozen=True)
class CardValue:
    """A value of the profile by the path of its key, and where it came from."""

    key: str
    value: JsonValue
    origin: str


@dataclass(frozen=True)
class CardProfile:
    """The profile that was started; `sha256` is of its resolved values, so two cards compare.

    `path` is the file that was given, `revision` the service's.
    """

    sha256: str
    path: str | None = None
    revision: str | None = None
    values: tuple[CardValue, ...] = ()


@dataclass(frozen=True)
class Tool:
    """ernie-deploy itself; `sha256` is of all files of its package, by name and content."""

    version: str
    sha256: str
    files: int
    python: str


@dataclass(frozen=True)
class Distribution:
    """A package of the engine's environment.

    `sha256` is of its RECORD, the list of its files with their hashes; None where it has none.
    """

    name: str
    version: str
    sha256: str | None = None


@dataclass(frozen=True)
class EngineFacts:
    """The engine that was started: its program, and what is installed beside it.

    `note` says why something is not known.
    """

    name: str
    release: str | None
    program: str
    python: str | None = None
    installed_at: str | None = None
    distributions: tuple[Distribution, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class WeightFile:
    """A file of the model; size in bytes. `sha256` is None where it was not calculated."""

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class WeightFacts:
    """The model on this machine.

    `source` says where the hashes come from: the manifest of `model pull`, or the files, read now.
    `sha256` is of all names and hashes; None where some are missing. `note` says what is not known.
    """

    model: str
    folder: str | None
    source: Literal["manifest", "files", "unknown"]
    hub: str | None = None
    commit: str | None = None
    pulled_at: str | None = None
    size: int = 0
    sha256: str | None = None
    files: tuple[WeightFile, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class HostFacts:
    """The machine of the report; memory in bytes, `gpus` by name with their memory."""

    name: str
    system: str
    cpu: str
    cores: int
    memory: int
    gpus: tuple[str, ...] = ()
    driver: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Versions:
    """What runs, exactly."""

    tool: Tool
    engine: EngineFacts
    weights: WeightFacts
    host: HostFacts


@dataclass(frozen=True)
class MemoryUse:
    """What an instance takes now, in bytes; None where it is not known.

    `resident` adds up the resident memory of its processes: pages that they share count for each.
    """

    processes: int
    resident: int | None
    gpu: int | None
    load: Load | None = None


@dataclass(frozen=True)
class CardMemory:
    """The memory plan beside what is taken; `reason` says why the plan is missing.

    `lesson` is the last start of this model here: KV blocks predicted and reported.
    """

    plan: MemoryPlan | None
    reason: str | None = None
    lesson: MemoryLesson | None = None


@dataclass(frozen=True)
class CardInstance:
    """One instance of the deployment, its memory, and how it is started again.

    `restart_limit` restarts are allowed in `restart_window` seconds, 0 where they are not limited.
    """

    status: InstanceStatus
    memory: MemoryUse
    role: str = "instance"
    restarts: int = 0
    restart_policy: str = ""
    restart_limit: int = 0
    restart_window: float = 0.0


@dataclass(frozen=True)
class CardSmoke:
    """The smoke run of the card; `source` says whether it was run now, kept or given.

    `outdated` says why it may not be about what runs now; `cut` what its transcripts lack.
    """

    run: SmokeRun
    source: str
    outdated: str | None = None
    cut: str | None = None


@dataclass(frozen=True)
class CardBench:
    """The bench run of the card; `outdated` as of the smoke run."""

    run: BenchRun
    source: str
    outdated: str | None = None


@dataclass(frozen=True)
class ServingCard:
    """`report`: a deployment at one moment; times are Unix seconds.

    `doctor` has every finding, `doctor_note` why there are none. `smoke_note` and `bench_note` say
    why the run is missing. `events` and `incidents` are the newest.
    """

    name: str
    kind: Literal["instance", "service"]
    made_at: float
    parts: tuple[Part, ...]
    profile: CardProfile
    versions: Versions
    memory: CardMemory
    instances: tuple[CardInstance, ...]
    service: ServiceStatus | None = None
    history: tuple[HistoryEntry, ...] = ()
    doctor: tuple[Finding, ...] = ()
    doctor_note: str | None = None
    smoke: CardSmoke | None = None
    smoke_note: str | None = None
    bench: CardBench | None = None
    bench_note: str | None = None
    incidents: tuple[IncidentRow, ...] = ()
    unreadable: tuple[str, ...] = field(default=(), metadata=written(omit=True))
    events: tuple[JsonObject, ...] = ()

    @property
    def failed(self) -> tuple[Part, ...]:
        """The parts that failed."""
        return tuple(part for part in self.parts if part.verdict == "fail")
