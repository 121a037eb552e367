"""What `smoke` and `compare` return, as the reports read it: the JSON of a run, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.codec import decode, written
from launcher.json_values import JsonObject, JsonValue
from launcher.smoke.comparison.baseline import Regression
from launcher.smoke.outcome import Finding
from launcher.smoke.run.results import Stopped


@dataclass(frozen=True)
class TargetFacts:
    """What was asked; `promises` None: it promises nothing in particular."""

    name: str
    url: str = ""
    model: str = ""
    kind: str = ""
    dialect: str = ""
    engine: str | None = None
    release: str | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    promises: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def engine_text(self) -> str:
        """The engine and its release; empty where neither is known."""
        return " ".join(word for word in (self.engine, self.release) if word)


@dataclass(frozen=True)
class Rate:
    """How many of the runs of a check passed."""

    passes: int
    runs: int


@dataclass(frozen=True)
class KnownDeviation:
    """A failure that is known of a release, and where that is written down."""

    id: str
    title: str
    releases: str
    source: str


@dataclass(frozen=True)
class StreamEvent:
    """An event of a stream, `at` in seconds after the request."""

    at: float
    data: str


@dataclass(frozen=True)
class ExchangeRecord:
    """A recorded request with its answer, without secrets; `status` None: none came."""

    number: int
    method: str
    url: str
    headers: JsonObject
    request: JsonValue
    status: int | None
    response_headers: JsonObject
    response: JsonValue
    events: tuple[StreamEvent, ...]
    events_total: int
    seconds: float | None
    error: str | None
    client: str = ""


@dataclass(frozen=True)
class CheckRow:
    """One check through one client."""

    name: str
    purpose: str
    kind: str
    client: str
    verdict: str
    message: str
    seconds: float
    rate: Rate
    tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    deviations: tuple[KnownDeviation, ...] = ()
    evidence: tuple[ExchangeRecord, ...] = ()


@dataclass(frozen=True)
class ClientDifference:
    """What one client saw and another did not; `known` where a release is known to do so."""

    check: str
    verdicts: Mapping[str, str]
    known: bool


@dataclass(frozen=True)
class SmokeRun:
    """`smoke TARGET`."""

    target: TargetFacts
    started: str
    seconds: float
    version: str
    clients: tuple[str, ...]
    repeat: int
    checks: tuple[CheckRow, ...]
    counts: Mapping[str, int]
    unreachable: str | None
    differences: tuple[ClientDifference, ...]
    stopped: Stopped | None
    verdict: str


@dataclass(frozen=True)
class CheckEntry:
    """A check that can be run."""

    name: str
    purpose: str
    kind: str
    tags: tuple[str, ...]
    requires: tuple[str, ...]


@dataclass(frozen=True)
class CheckList:
    """`smoke --list`: the checks, and the tags with what they mean."""

    checks: tuple[CheckEntry, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ToolRates:
    """The tool prompts of one target; shares are None where nothing was counted."""

    prompts: int
    answered: int
    errors: tuple[str, ...]
    triggered: tuple[bool | None, ...]
    trigger_rate: float | None
    trigger_accuracy: float | None
    calls: int
    schema_accuracy: float | None
    agreement: float | None


@dataclass(frozen=True)
class ListPrice:
    """A list price in US dollars per million tokens."""

    provider: str | None
    input: float
    output: float


@dataclass(frozen=True)
class WorkedCost:
    """The cost of a million tokens, with the numbers that it was made of."""

    per_million: float
    gpu_hour: float
    gpus: int
    formula: str
    worked: str
    measured: Mapping[str, float]


@dataclass(frozen=True)
class TargetCost:
    """What a target costs; `problem` where it could not be worked out."""

    worked: WorkedCost | None = field(default=None, metadata=written(inline=True))
    problem: str | None = field(default=None, metadata=written(omit=True))
    listed: ListPrice | None = field(default=None, metadata=written("list", omit=True))


@dataclass(frozen=True)
class TargetColumn:
    """One target of a comparison; `checks` are those that did not pass."""

    name: str
    target: TargetFacts
    verdict: str
    problem: str | None
    stopped: Stopped | None
    counts: Mapping[str, int]
    verdicts: Mapping[str, str]
    messages: Mapping[str, str]
    started: str
    seconds: float
    checks: tuple[CheckRow, ...]
    deviations: Mapping[str, tuple[str, ...]]
    first_token_seconds: float | None
    tokens_per_second: float | None
    chat_seconds: float | None
    completion_tokens: float | None
    tools: ToolRates
    cost: TargetCost | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class ComparedCheck:
    """A check side by side: what is shown for each target."""

    check: str
    verdicts: tuple[str, ...]
    outcomes: tuple[str, ...]
    equal: bool


@dataclass(frozen=True)
class Comparison:
    """`compare`."""

    started: str
    seconds: float
    version: str
    targets: tuple[TargetColumn, ...]
    checks: tuple[ComparedCheck, ...]
    baseline: str | None
    saved: str | None
    regressions: tuple[Regression, ...]


def read_run(data: JsonObject) -> SmokeRun:
    """The run that `smoke` returned.

    Raises:
        ValueError: it is none; the text names the field.
    """
    return decode(SmokeRun, data, "smoke", tolerant=True)


def read_comparison(data: JsonObject) -> Comparison:
    """The comparison that `compare` returned.

    Raises:
        ValueError: it is none; the text names the field.
    """
    return decode(Comparison, data, "compare", tolerant=True)
