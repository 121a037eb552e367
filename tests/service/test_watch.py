"""What a watch window says of the new revision: pure judgements of two readings."""

import pytest

from launcher.profile.service import RolloutSettings
from launcher.service.failure import StepFailed
from launcher.service.watch import Baseline, Figures, Reading, judge, rates, summary

SETTINGS = RolloutSettings(max_error_rate=0.05, max_latency_increase=0.5, min_requests=10)
NEW = ("new",)
START: Reading = {"new": Figures(100, 3, 0.5, 10.0, 100.0)}


def now(answers: int, failed: int = 0, each: float = 0.5, first: float = 0.1) -> Reading:
    """The reading after `answers` more answers."""
    return {
        "new": Figures(
            100 + answers, 3 + failed, each, 10.0 + answers * first, 100.0 + answers,
        )
    }  # fmt: skip


def test_a_revision_as_good_as_before_passes() -> None:
    judge(START, now(50, failed=2), NEW, Baseline(0.5, 0.1, 80), SETTINGS)


def test_means_above_the_profile_s_objectives_end_the_rollout_without_a_baseline() -> None:
    strict = RolloutSettings(min_requests=10, slo_ttft=0.2, slo_latency=1.0)
    judge(START, now(50), NEW, Baseline(), strict)
    judge(START, now(5, each=9.0), NEW, Baseline(), strict)
    for reading, expected in ((now(50, first=0.3), "first token"), (now(50, each=1.5), "answer")):
        with pytest.raises(StepFailed, match=expected) as caught:
            judge(START, reading, NEW, Baseline(), strict)
        assert caught.value.problem.code == "watch-slo"


@pytest.mark.parametrize(
    ("reading", "baseline", "code", "message"),
    [
        (now(50, failed=3), Baseline(), "watch-errors", "3 of 50 answers failed (6.0%;"),
        (now(50, each=0.8), Baseline(0.5, None, 9), "watch-latency", "an answer took 0.800 s"),
        (
            now(50, first=0.3),
            Baseline(0.5, 0.1, 9),
            "watch-latency",
            "the first token took 0.300 s",
        ),
    ],
)
def test_what_is_worse_ends_the_rollout(
    reading: Reading, baseline: Baseline, code: str, message: str
) -> None:
    with pytest.raises(StepFailed) as ended:
        judge(START, reading, NEW, baseline, SETTINGS)
    assert ended.value.problem.code == code
    assert message in ended.value.problem.message


def test_a_few_answers_say_nothing() -> None:
    judge(START, now(9, failed=9, each=9), NEW, Baseline(0.5, 0.1, 80), SETTINGS)


def test_a_difference_that_nobody_notices_is_none() -> None:
    judge(START, now(50, each=0.09), NEW, Baseline(0.05, None, 80), SETTINGS)


def test_a_keepers_verdict_ends_it_without_any_traffic() -> None:
    with pytest.raises(StepFailed, match="new does not work: it is stalled"):
        judge(START, {"new": Figures(verdict="it is stalled")}, NEW, Baseline(), SETTINGS)


def test_a_counter_that_begins_anew_counts_from_zero() -> None:
    assert rates(START, {"new": Figures(7, 1, 0.5)}, NEW).answers == 7


def test_the_summary_says_what_was_seen() -> None:
    observed = rates(START, now(50, failed=1), NEW)
    assert summary(observed) == "50 answers, 1 failed, 0.50 s each, first token after 0.100 s"
