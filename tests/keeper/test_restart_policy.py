"""The restart policy as a pure function: histories go in, decisions come out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import ExitCode, Problem
from launcher.keeper.engine_stop import StopRequest
from launcher.keeper.failure import Failure
from launcher.keeper.restart_policy import (
    GiveUp,
    History,
    RunEnd,
    StartAgain,
    decide,
    duration_text,
    restarts_text,
)
from launcher.keeper.restarts import Restarts
from launcher.plan.restart import RestartPolicy

DEFAULT = RestartPolicy()
DIED = RunEnd(first=False, was_ready=True, ready_seconds=5.0, retry=True)


def middle() -> float:
    """No jitter."""
    return 0.5


def delays(policy: RestartPolicy, ends: list[RunEnd], step: float = 1000.0) -> list[float]:
    """The delays after each of these ends, `step` seconds apart."""
    history, now, waited = History(), 0.0, []
    for end in ends:
        decision = decide(policy, history, end, now, middle)
        assert isinstance(decision, StartAgain), decision
        history, now = decision.history, now + step
        waited.append(decision.delay)
    return waited


def test_the_wait_doubles_up_to_a_minute() -> None:
    assert delays(DEFAULT, [DIED] * 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_long_healthy_run_begins_anew_and_a_short_one_does_not() -> None:
    healthy = replace(DIED, ready_seconds=600.0)
    nearly = replace(DIED, ready_seconds=599.0)
    assert delays(DEFAULT, [DIED, DIED, healthy, DIED]) == [1, 2, 1, 2]
    assert delays(DEFAULT, [DIED, DIED, nearly, DIED]) == [1, 2, 4, 8]


def test_the_budget_is_that_of_a_sliding_window() -> None:
    history, numbers = History(), []
    for now in (0, 10, 20, 30, 40):
        decision = decide(DEFAULT, history, DIED, now, middle)
        assert isinstance(decision, StartAgain)
        history = decision.history
        numbers.append(decision.number)
    assert numbers == [1, 2, 3, 4, 5]
    sixth = decide(DEFAULT, history, DIED, 599.9, middle)
    assert sixth == GiveUp("budget", "given up after 5 restarts within 10 min")
    later = decide(DEFAULT, history, DIED, 600, middle)
    assert isinstance(later, StartAgain), "the first of the five has left the window"
    assert later.number == 5
    assert later.history.times == (10, 20, 30, 40, 600)


@pytest.mark.parametrize(
    ("policy", "change", "reason"),
    [
        ("on-failure", {"first": True, "was_ready": False}, "first-start"),
        ("always", {"first": True, "was_ready": False}, "first-start"),
        ("never", {}, "policy"),
        ("on-failure", {"retry": False}, "cause"),
        ("on-failure", {"was_ready": False, "retry": False}, "cause"),
        ("always", {"retry": False}, None),
        ("on-failure", {"was_ready": False}, None),
        ("on-failure", {"first": True}, None),
    ],
)
def test_what_is_restarted(policy: str, change: dict[str, bool], reason: str | None) -> None:
    """A first start is `up`'s answer; a restarted run that fails while it loads is tried again."""
    kind = replace(DEFAULT, policy=policy)  # type: ignore[arg-type]
    decision = decide(kind, History(), replace(DIED, **change), 0.0, middle)
    assert (decision.reason if isinstance(decision, GiveUp) else None) == reason


def test_no_restarts_at_all_is_a_policy_of_never() -> None:
    none = replace(DEFAULT, max_restarts=0)
    assert decide(none, History(), DIED, 0.0, middle) == GiveUp("policy")


policies = st.builds(
    RestartPolicy,
    policy=st.sampled_from(["on-failure", "always", "never"]),
    max_restarts=st.integers(0, 8),
    window=st.floats(0.1, 5000),
    first_delay=st.floats(0, 90),
    max_delay=st.floats(0, 120),
    factor=st.floats(0.5, 10),
    jitter=st.floats(0, 0.9),
)
ends = st.builds(
    RunEnd,
    first=st.just(False),
    was_ready=st.booleans(),
    ready_seconds=st.floats(0, 10_000),
    retry=st.booleans(),
)


@given(
    policies,
    st.lists(st.tuples(ends, st.floats(0, 2000), st.floats(0, 1)), max_size=60),
)
def test_whatever_happens_the_bounds_hold(
    policy: RestartPolicy, story: list[tuple[RunEnd, float, float]]
) -> None:
    """A mocked clock and any failures: never more restarts in a window, never a longer wait."""
    pauses: list[float] = []
    history, now = History(), 0.0
    for end, passed, drawn in story:
        now += passed
        decision = decide(policy, history, end, now, lambda drawn=drawn: drawn)  # type: ignore[misc]
        recent = [time for time in pauses if now - time < policy.window]
        if isinstance(decision, GiveUp):
            cannot = policy.policy == "on-failure" and not end.retry
            never = policy.policy == "never" or policy.max_restarts == 0
            assert never or cannot or len(recent) == policy.max_restarts
            continue
        pauses.append(now)
        history = decision.history
        assert policy.policy == "always" or end.retry
        assert decision.number == len(recent) + 1 <= policy.max_restarts
        assert 0 <= decision.delay <= policy.max_delay * (1 + policy.jitter) + 1e-9
        assert len(history.times) <= policy.max_restarts, "it does not grow"


@given(st.floats(0, 1), st.integers(0, 5000))
def test_the_jitter_is_a_fifth(drawn: float, streak: int) -> None:
    """Also after thousands of restarts, which would overflow a power."""
    decision = decide(DEFAULT, History((), streak), DIED, 0.0, lambda: drawn)
    assert isinstance(decision, StartAgain)
    base = min(60.0, 2.0 ** min(streak, 10))
    assert 0.8 * base <= decision.delay <= 1.2 * base


class Clock:
    """Seconds that a test decides about."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def failure(*, retry: bool | None = True, code: ExitCode = ExitCode.DIED) -> Failure:
    return Failure(Problem("engine-died", "it died"), code, retry=retry)


def a_run(clock: Clock, restarts: Restarts, loads: float, serves: float | None) -> None:
    restarts.begin()
    clock.now += loads
    if serves is not None:
        restarts.ready()
        clock.now += serves


def test_time_that_an_engine_loads_is_no_part_of_the_window() -> None:
    """A model that takes five minutes to load and then fails would be started without end."""
    clock = Clock()
    restarts = Restarts(DEFAULT, clock, middle)
    a_run(clock, restarts, 300, 1)
    for number in range(1, 6):
        decision = restarts.decide(StopRequest(), failure())
        assert isinstance(decision, StartAgain)
        assert decision.number == number
        clock.now += decision.delay
        a_run(clock, restarts, 300, 1 if number % 2 else None)
    last = restarts.decide(StopRequest(), failure())
    assert isinstance(last, GiveUp)
    assert last.reason == "budget"


def test_a_run_that_was_stopped_or_hit_a_defect_of_ours_is_not_followed() -> None:
    clock = Clock()
    restarts = Restarts(replace(DEFAULT, policy="always"), clock, middle)
    a_run(clock, restarts, 1, 1)
    assert restarts.decide(StopRequest("down"), failure()) is None
    assert restarts.decide(StopRequest(), None) is None
    assert restarts.decide(StopRequest(), failure(code=ExitCode.DEFECT)) is None


def test_a_restart_whose_engine_was_not_even_started_was_not_ready() -> None:
    """Its port was taken meanwhile: the readiness of the run before is not its own."""
    clock = Clock()
    restarts = Restarts(DEFAULT, clock, middle)
    a_run(clock, restarts, 1, 700)
    first = restarts.decide(StopRequest(), failure())
    clock.now += 100
    second = restarts.decide(StopRequest(), failure(retry=None))
    assert isinstance(first, StartAgain)
    assert isinstance(second, StartAgain)
    assert (first.delay, second.delay) == (1, 2), "no second healthy run"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(600, "10 min"), (45, "45 s"), (90, "90 s"), (7200, "2 h"), (0.5, "0.5 s"), (3660, "61 min")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_one_restart_is_one() -> None:
    assert restarts_text(1, 60) == "1 restart within 1 min"
