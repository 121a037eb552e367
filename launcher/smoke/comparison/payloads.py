"""What `compare` returns; `launcher.codec` writes it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.codec import written
from launcher.smoke.comparison.baseline import Regression
from launcher.smoke.outcome import Verdict
from launcher.smoke.run.results import CheckResult, Stopped
from launcher.smoke.target import TargetFacts


@dataclass(frozen=True)
class ToolCounts:
    """The counts of a set of tool prompts; a rate is None where nothing was counted.

    `agreement` is with the calls of the first target.
    """

    prompts: int
    answered: int
    errors: tuple[str, ...]
    triggered: tuple[bool | None, ...]
    trigger_rate: float | None
    trigger_accuracy: float | None
    calls: int
    schema_accuracy: float | None
    agreement: float | None = None

    @property
    def rates(self) -> dict[str, float | None]:
        """What a baseline keeps."""
        return {
            "trigger_rate": self.trigger_rate,
            "trigger_accuracy": self.trigger_accuracy,
            "schema_accuracy": self.schema_accuracy,
        }


@dataclass(frozen=True)
class ListPrice:
    """A list price in US dollars per million tokens."""

    provider: str | None
    input: float
    output: float


@dataclass(frozen=True)
class WorkedCost:
    """The cost of a million tokens, with the numbers that it was made of."""

    measured: Mapping[str, float]
    per_million: float
    gpu_hour: float
    gpus: int
    formula: str
    worked: str


@dataclass(frozen=True)
class TargetCost:
    """What a target costs; `problem` where it could not be worked out."""

    listed: ListPrice | None = field(default=None, metadata=written("list", omit=True))
    problem: str | None = field(default=None, metadata=written(omit=True))
    worked: WorkedCost | None = field(default=None, metadata=written(inline=True))


@dataclass(frozen=True)
class TargetColumn:
    """One target of a comparison: its run, its speed and its tool calls.

    `verdict` is `could not check` and `problem` says why where no check got an answer that could
    be judged. `checks` are those that did not pass.
    """

    name: str
    target: TargetFacts
    verdict: Verdict
    problem: str | None
    stopped: Stopped | None
    counts: Mapping[str, int]
    verdicts: Mapping[str, Verdict]
    messages: Mapping[str, str]
    started: str
    seconds: float
    checks: tuple[CheckResult, ...]
    deviations: Mapping[str, tuple[str, ...]]
    first_token_seconds: float | None
    tokens_per_second: float | None
    chat_seconds: float | None
    completion_tokens: float | None
    tools: ToolCounts
    cost: TargetCost | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class ComparedCheck:
    """A check side by side: the verdict of each target, and what is shown for it."""

    check: str
    verdicts: tuple[str, ...]
    outcomes: tuple[str, ...]
    equal: bool


@dataclass(frozen=True)
class Comparison:
    """`compare`; `baseline` and `saved` are the files of `--baseline` and `--save-baseline`."""

    started: str
    seconds: float
    version: str
    targets: tuple[TargetColumn, ...]
    checks: tuple[ComparedCheck, ...]
    baseline: str | None
    saved: str | None
    regressions: tuple[Regression, ...]
