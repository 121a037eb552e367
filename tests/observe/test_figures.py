"""What an engine tells of its load, and what two readings say together."""

from dataclasses import replace

import pytest

from launcher.codec import encode_object
from launcher.liveness.policy import Counters, LivenessPolicy
from launcher.observe.figures import Load, Reading, Source, load, reading, source_of
from launcher.plan.figures import Figures

COUNTERS = Counters(
    (), ("run",), ("wait", "queue"), "in_total", "out_total", None, "tokens_total", "kv"
)
ALL = Source("metrics", "/metrics", COUNTERS, Figures("ttft"))
HIDDEN = replace(ALL, counters=replace(COUNTERS, waiting=()))
"""Of a release without an honest gauge of what waits."""


def test_what_is_told_is_read_and_what_is_not_is_unknown() -> None:
    text = "run 2\nwait 1\nqueue 3\nin_total 9\ntokens_total 50\nttft_sum 1.5\nttft_count 3\n"
    taken = reading(ALL, text + 'ttft_bucket{le="1.0"} 3\n', 7.0)
    assert taken == Reading(7.0, 2.0, 4.0, None, None, 50.0, 1.5, 3.0, None)
    assert reading(HIDDEN, text, 7.0).waiting is None
    assert reading(HIDDEN, text, 7.0).received == 9.0
    assert reading(ALL, "", 7.0) == Reading(7.0)
    assert reading(Source("api", "/metrics", Counters(), Figures()), text, 7.0) == Reading(7.0)


def test_of_several_engines_the_fullest_cache_counts() -> None:
    text = 'kv{engine="0"} 0.25\nkv{engine="1"} 0.75\nkv_other 1\nrun{engine="0"} 1\n'
    text += 'run{engine="1"} 2\n'
    taken = reading(ALL, text, 1.0)
    assert (taken.kv_usage, taken.running) == (0.75, 3.0)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e300", "x", ""])
def test_a_figure_that_is_none_makes_no_figure(value: str) -> None:
    taken = reading(ALL, f"run 1\ntokens_total {value}\nkv {value}\nttft_sum {value}\n", 1.0)
    encoded = encode_object(load(taken, replace(taken, at=0.0)))
    assert encoded["running"] == 1
    assert all(one in (None, 0, 0.0, 1, False) for one in encoded.values()), encoded


def test_two_readings_tell_the_rate_and_the_newest_requests() -> None:
    before = Reading(10.0, running=2, waiting=0, tokens=100, ttft_sum=10.0, ttft_count=10)
    newest = Reading(14.0, running=2, waiting=1, tokens=300, ttft_sum=10.5, ttft_count=15)
    assert load(newest, before) == Load(2, 1, False, 300, 50.0, 0.1, 5, None)
    idle = replace(newest, ttft_sum=10.0, ttft_count=10)
    assert load(idle, before).ttft_seconds == 1.0, "no new request: since the start"


def test_one_reading_tells_a_rate_only_where_nothing_runs() -> None:
    assert load(Reading(1.0, running=0, waiting=0, tokens=5)).tokens_per_second == 0.0
    assert load(Reading(1.0, running=3, waiting=0, tokens=5)).tokens_per_second is None
    assert load(Reading(1.0, tokens=5)).tokens_per_second is None, "it may be busy"


def test_counters_that_began_anew_tell_no_rate() -> None:
    before = Reading(1.0, running=1, tokens=500, ttft_sum=9.0, ttft_count=9)
    newest = Reading(3.0, running=1, tokens=20, ttft_sum=0.5, ttft_count=1)
    assert load(newest, before).tokens_per_second is None
    assert load(newest, before).ttft_seconds == 0.5
    assert load(replace(newest, at=1.0), before).tokens_per_second is None, "the same moment"


def test_what_waits_is_estimated_where_the_gauge_is_not_honest() -> None:
    hidden = Reading(1.0, running=2, received=20, finished=10)
    assert load(hidden).waiting == 8
    assert load(hidden).waiting_estimated
    assert load(hidden, phantom=5.0).waiting == 3, "five were refused long ago"
    honest = Reading(1.0, running=2, waiting=9, finished=10)
    assert (load(honest).waiting, load(honest).waiting_estimated) == (9, False)


def test_nothing_waits_where_nothing_runs() -> None:
    """Requests that were refused are counted as received and never as finished."""
    refused = Reading(1.0, running=0, received=20, finished=10)
    assert (load(refused).waiting, load(refused).waiting_estimated) == (0, False)


def test_a_plan_of_an_older_release_has_no_figures() -> None:
    assert source_of({}) is None
    assert source_of({"figures": None, "liveness": None}) is None
    policy = LivenessPolicy(counters=COUNTERS, metrics_port="metrics")
    plan = {"liveness": encode_object(policy), "figures": encode_object(ALL.figures)}
    assert source_of(plan) == ALL
    assert source_of({**plan, "figures": None}) == replace(ALL, figures=Figures())
    with pytest.raises(ValueError, match=r"plan\.figures"):
        source_of({**plan, "figures": {"ttft": 3}})
    with pytest.raises(ValueError, match=r"plan\.liveness\.counters"):
        source_of({"liveness": {"metrics_port": "api", "counters": {"running": 3}}})
