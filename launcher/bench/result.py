"""The result of a benchmark, as a value: what `bench` returns, writes, compares and draws.

`launcher.codec` turns it into JSON and back; `encode_run` and `decode_run` are the file format of
`--output` and `--baseline`. Times are in seconds, sizes in bytes, rates per second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from launcher import codec
from launcher.codec import written
from launcher.json_values import JsonValue
from launcher.smoke.comparison.payloads import TargetCost
from launcher.smoke.target import TargetFacts

SCHEMA = "ernie-deploy/bench/1"
COMPARISON_SCHEMA = "ernie-deploy/bench-comparison/1"
CONFIDENCE = 0.95
"""Every interval of a result covers its value with this probability."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % confidence interval; the ends are None where there are too few data."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Distribution:
    """All values of one metric at one level.

    `quantiles` are the 0th to the 100th percentile (101 values), enough to draw the distribution.
    """

    count: int
    mean: Estimate
    p50: Estimate
    p90: Estimate
    p99: Estimate
    minimum: float
    maximum: float
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class Metric:
    """How a metric is called, computed and read. `better` is the direction of an improvement."""

    name: str
    title: str
    unit: Literal["s", "1/s", "tokens/s", "tokens", "ratio"]
    better: Literal["lower", "higher"]
    formula: str


@dataclass(frozen=True)
class Latencies:
    """The distributions of a level; None where the records do not have what it takes.

    The names are those of `Metric.name`; `launcher.bench.metrics` has the formulas.
    """

    ttft: Distribution | None = None
    ttfa: Distribution | None = None
    itl: Distribution | None = None
    tpot: Distribution | None = None
    e2e: Distribution | None = None
    queue: Distribution | None = None
    user_rate: Distribution | None = None
    input_tokens: Distribution | None = None
    output_tokens: Distribution | None = None

    def by_name(self) -> dict[str, Distribution]:
        """The distributions that there are, by the name of their metric."""
        every = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: one for name, one in every.items() if one is not None}


@dataclass(frozen=True)
class Rates:
    """What a level brought per second, and which share of it; over all of its repetitions.

    `goodput` is None without an SLO on requests.
    """

    requests: Estimate
    output_tokens: Estimate
    total_tokens: Estimate
    error_rate: Estimate
    goodput: Estimate | None = None
    goodput_share: Estimate | None = None


@dataclass(frozen=True)
class RequestCounts:
    """Requests of a level. `cut` were still running when the level ended; they count nowhere."""

    sent: int
    succeeded: int
    failed: int
    cut: int = 0
    warm_up: int = 0


@dataclass(frozen=True)
class Repetition:
    """One pass over a level: the figures whose spread is the noise of a comparison.

    `figures` has the mean, p50, p90 and p99 of each metric (`ttft.p50`) and the rates
    (`output_tokens`). `begin` and `end` are seconds since the run began.
    """

    begin: float
    end: float
    figures: Mapping[str, float]


@dataclass(frozen=True)
class ServerFigure:
    """One figure of `/metrics` beside the client's.

    `is_disputed` where they are further apart than both can be right; `reason` says what it means.
    """

    name: str
    unit: str
    client: float | None
    server: float | None
    is_disputed: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Level:
    """One level of load: so many requests at a time (closed loop) or so many per second (open).

    `overload` says why the run went no further; the level itself is still reported.
    """

    loop: Literal["closed", "open"]
    value: float
    counts: RequestCounts
    rates: Rates
    latencies: Latencies
    repetitions: tuple[Repetition, ...]
    errors: Mapping[str, int] = field(default_factory=dict)
    server: tuple[ServerFigure, ...] = ()
    cost: TargetCost | None = field(default=None, metadata=written(omit=True))
    overload: str | None = None

    @property
    def label(self) -> str:
        """`8 at a time` or `2.5 per second`."""
        return f"{self.value:g} {'at a time' if self.loop == 'closed' else 'per second'}"

    @property
    def key(self) -> str:
        """The level's name in gates, CSV and JUnit: `c8` or `r2.5`."""
        return f"{'c' if self.loop == 'closed' else 'r'}{self.value:g}"


@dataclass(frozen=True)
class Sample:
    """The state of server and machine at one moment; None where the source is missing.

    `at` is seconds since the run began. `running` and `waiting` are the server's requests,
    `kv_use` is the share of the KV cache in use (0 to 1), `load` the 1-minute load average, `late`
    the seconds by which a timer on this machine was late (worst since the sample before).
    """

    at: float
    running: float | None = None
    waiting: float | None = None
    kv_use: float | None = None
    gpu_memory: tuple[int, ...] = ()
    server_memory: int | None = None
    load: float | None = None
    late: float | None = None


@dataclass(frozen=True)
class Phase:
    """When a level was measured: seconds since the run began."""

    level: str
    repetition: int
    begin: float
    end: float


@dataclass(frozen=True)
class Generator:
    """The load generator: a child process. `busiest` is its busiest process's share of a core.

    `late_p99` is the 99th percentile of the lateness of a timer on its machine, in seconds.
    """

    name: str
    version: str
    busiest: float | None = None
    late_p99: float | None = None
    problem: str | None = None
    """Why verdicts on this run are refused; None where the machine kept up."""


@dataclass(frozen=True)
class Machine:
    """Where the generator ran, and the server too where `is_local`."""

    name: str
    system: str
    cpu: str
    cores: float
    memory: int
    gpus: tuple[str, ...]
    load_before: tuple[float, ...]
    load_after: tuple[float, ...]
    is_local: bool


@dataclass(frozen=True)
class Gate:
    """One line that a run has to hold.

    `source` is the SLO's place in the profile or the baseline's file. `limit` and `actual` are in
    the metric's unit; for a baseline, `limit` is the baseline's value and `p_value` the test's.
    """

    name: str
    level: str
    kind: Literal["slo", "baseline"]
    verdict: Literal["met", "missed", "refused"]
    source: str
    limit: float
    actual: float | None
    unit: str
    reason: str
    p_value: float | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class ScenarioFacts:
    """The scenario as it ran, after the command line's changes; `document` is its YAML as data."""

    name: str
    title: str
    path: str
    digest: str
    document: Mapping[str, JsonValue]


@dataclass(frozen=True)
class BenchRun:
    """`bench`: everything about one run, and enough to repeat it.

    `profile` has the resolved profile without secrets (empty for a URL), `versions` names to
    versions (ernie_deploy, python, generator, engine).
    """

    target: TargetFacts
    scenario: ScenarioFacts
    started: str
    seconds: float
    levels: tuple[Level, ...]
    timeline: tuple[Sample, ...]
    phases: tuple[Phase, ...]
    metrics: tuple[Metric, ...]
    generator: Generator
    machine: Machine
    versions: Mapping[str, str]
    profile: Mapping[str, JsonValue] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()
    stopped: str | None = None
    """Why the run ended before its last level; None where it did not."""
    files: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["met", "missed", "refused", "none"]:
        """The worst verdict of the gates; `none` without gates."""
        verdicts = {gate.verdict for gate in self.gates}
        order: tuple[Literal["missed", "refused", "met"], ...] = ("missed", "refused", "met")
        return next((one for one in order if one in verdicts), "none")


@dataclass(frozen=True)
class ComparedFigure:
    """One figure of one level on both sides.

    `change` is B against A as a share (0.1: 10 % more), with its confidence interval; `p_value` is
    of the test that `BenchComparison.test` states.
    """

    metric: str
    level: str
    unit: str
    a: float
    b: float
    change: Estimate
    p_value: float | None
    verdict: Literal["better", "worse", "no difference shown", "refused"]
    reason: str


@dataclass(frozen=True)
class BenchComparison:
    """`bench compare A B`: both runs, taken in turns (`interleaved`), and what differs."""

    a: BenchRun
    b: BenchRun
    interleaved: bool
    test: str
    figures: tuple[ComparedFigure, ...]
    started: str
    seconds: float
    problem: str | None = None
    """Why every verdict is refused; None where they stand."""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One setting that `bench tune` tried.

    `score` is the objective's figure, negative where less is better, None if it failed. `note`
    tells where it was not the search that chose the setting.
    """

    number: int
    settings: Mapping[str, JsonValue]
    score: float | None
    problem: str | None
    run: str | None
    seconds: float
    note: str | None = None


@dataclass(frozen=True)
class Tuning:
    """`bench tune`: the trials, the best setting, and the comparison that proves it.

    `overlay` is the file with the best setting; None where nothing better than the profile was
    proved, and `conclusion` says so.
    """

    target: TargetFacts
    objective: str
    trials: tuple[Trial, ...]
    bounds: Mapping[str, tuple[JsonValue, ...]]
    best: Mapping[str, JsonValue]
    overlay: str | None
    proof: BenchComparison | None
    conclusion: str
    search: str
    folder: str


def encode_run(run: BenchRun) -> dict[str, JsonValue]:
    """The document of `--output`, which `--baseline` and the pages read."""
    return {"schema": SCHEMA, **codec.encode_object(run)}


def decode_run(document: JsonValue, at: str = "") -> BenchRun:
    """The run in a document of `encode_run`.

    Raises:
        launcher.codec.DecodeError: the document is something else; names the path in it.
    """
    return codec.decode(BenchRun, document, at, schema=SCHEMA, tolerant=True)


def encode_comparison(comparison: BenchComparison) -> dict[str, JsonValue]:
    """The document of `bench compare --output`."""
    return {"schema": COMPARISON_SCHEMA, **codec.encode_object(comparison)}


def decode_comparison(document: JsonValue, at: str = "") -> BenchComparison:
    """The comparison in a document of `encode_comparison`.

    Raises:
        launcher.codec.DecodeError: the document is something else; names the path in it.
    """
    return codec.decode(BenchComparison, document, at, schema=COMPARISON_SCHEMA, tolerant=True)
