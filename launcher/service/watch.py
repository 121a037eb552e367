"""The watch window: is the new revision as good as the old one? One pure judgement of two readings.

A reading is what the front door counted and what the engines and their keepers say at one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from launcher.errors import ExitCode, Problem
from launcher.profile.service import RolloutSettings
from launcher.service.failure import StepFailed

LEAST_DIFFERENCE = 0.05
"""Seconds: a mean that is longer by less is not worse, whatever its ratio."""


@dataclass(frozen=True)
class Figures:
    """What is known of one replica at one moment; counters only rise.

    `answers` were finished through the door, `failed` of them with a status of 5xx or a broken
    connection. `latency` is the mean duration in seconds of the newest ones (1,024 at most) as the
    door measured them, None where it does not say. `ttft_sum` and `ttft_count` are the engine's own
    histogram of the time to the first token. `verdict` is why the keeper says that the replica does
    not work; "" where it does.
    """

    answers: int = 0
    failed: int = 0
    latency: float | None = None
    ttft_sum: float | None = None
    ttft_count: float | None = None
    verdict: str = ""


Reading = Mapping[str, Figures]
"""Figures by replica."""


@dataclass(frozen=True)
class Rates:
    """What happened between two readings, of some replicas together.

    `latency` is the mean duration of an answer and `ttft` the mean time to the first token, in
    seconds; None where nothing can be said.
    """

    answers: int = 0
    failed: int = 0
    latency: float | None = None
    ttft: float | None = None
    ttft_count: int = 0

    @property
    def error_rate(self) -> float:
        """The share of failed answers; 0 without any."""
        return self.failed / self.answers if self.answers else 0.0


@dataclass(frozen=True)
class Baseline:
    """What the old revision did before the traffic moved; None where it had no traffic."""

    latency: float | None = None
    ttft: float | None = None
    answers: int = field(default=0)


def rates(before: Reading, after: Reading, names: Sequence[str]) -> Rates:
    """What the replicas called `names` did between two readings."""
    answers = failed = 0
    seconds, timed = 0.0, 0
    first_tokens, first_count = 0.0, 0.0
    for name in names:
        new, old = after.get(name, Figures()), before.get(name, Figures())
        finished = _rise(new.answers, old.answers)
        answers += round(finished)
        failed += round(_rise(new.failed, old.failed))
        if new.latency is not None:
            seconds += new.latency * finished
            timed += round(finished)
        if new.ttft_sum is not None and new.ttft_count is not None:
            first_tokens += _rise(new.ttft_sum, old.ttft_sum or 0.0)
            first_count += _rise(new.ttft_count, old.ttft_count or 0.0)
    return Rates(
        answers,
        failed,
        seconds / timed if timed else None,
        first_tokens / first_count if first_count else None,
        round(first_count),
    )


def judge(
    start: Reading,
    now: Reading,
    names: Sequence[str],
    baseline: Baseline,
    settings: RolloutSettings,
) -> None:
    """Judge the new replicas `names` by what happened since `start`.

    Raises:
        StepFailed: with exit code 1; a keeper's verdict, the error rate, or a latency is worse
            than the profile allows.
    """
    for name in names:
        verdict = now.get(name, Figures()).verdict
        if verdict:
            raise _worse("watch-verdict", f"{name} does not work: {verdict}", name)
    current = rates(start, now, names)
    if current.answers >= settings.min_requests and current.error_rate > settings.max_error_rate:
        raise _worse(
            "watch-errors",
            f"{current.failed} of {current.answers} answers failed ({current.error_rate:.1%};"
            f" at most {settings.max_error_rate:.1%} may)", names[0],
        )  # fmt: skip
    for title, value, count, objective in (
        ("an answer took", current.latency, current.answers, settings.slo_latency),
        ("the first token took", current.ttft, current.ttft_count, settings.slo_ttft),
    ):
        if value is None or objective is None or count < settings.min_requests:
            continue
        if value > objective:
            raise _worse(
                "watch-slo",
                f"{title} {value:.3f} s on average; the profile's `slo:` allows {objective:g} s"
                f" (from {count} answers)", names[0],
            )  # fmt: skip
    for title, value, count, reference in (
        ("an answer took", current.latency, current.answers, baseline.latency),
        ("the first token took", current.ttft, current.ttft_count, baseline.ttft),
    ):
        if value is None or reference is None or count < settings.min_requests:
            continue
        limit = reference * (1 + settings.max_latency_increase)
        if value > limit and value - reference > LEAST_DIFFERENCE:
            raise _worse(
                "watch-latency",
                f"{title} {value:.3f} s on average, {reference:.3f} s before (at most"
                f" {limit:.3f} s is allowed, from {count} answers)", names[0],
            )  # fmt: skip


def summary(seen: Rates) -> str:
    """`120 answers, 0 failed, 0.52 s each, first token after 0.030 s`."""
    text = f"{seen.answers} answers, {seen.failed} failed"
    if seen.latency is not None:
        text += f", {seen.latency:.2f} s each"
    if seen.ttft is not None:
        text += f", first token after {seen.ttft:.3f} s"
    return text


def _rise(new: float, old: float) -> float:
    """By how much a counter rose; one that began anew counts from 0."""
    return new - old if new >= old else new


def _worse(code: str, message: str, name: str) -> StepFailed:
    remedy = f"`ernie-deploy diagnose {name}`; thresholds are in `service.rollout`"
    return StepFailed(Problem(code, message, None, remedy), ExitCode.NEGATIVE)
