"""What an engine tells of its load, and what two readings say together."""

from dataclasses import replace

import pytest

from launcher.codec import encode_object
from launcher.engines.fastdeploy.figures import figures as of_fastdeploy
from launcher.engines.vllm.figures import FIGURES as OF_VLLM
from launcher.observe.figures import Load, Reading, figures_of, load, reading
from launcher.plan.figures import Figures

ALL = Figures(
    "metrics", "/metrics", ("run",), ("wait", "queue"), "in_total", "out_total", "tokens_total",
    "ttft", "kv",
)  # fmt: skip


def test_what_is_told_is_read_and_what_is_not_is_unknown() -> None:
    text = "run 2\nwait 1\nqueue 3\nin_total 9\ntokens_total 50\nttft_sum 1.5\nttft_count 3\n"
    told = reading(ALL, text + 'ttft_bucket{le="1.0"} 3\n', 7.0)
    assert told == Reading(7.0, 2.0, 4.0, 9.0, None, 50.0, 1.5, 3.0, None)
    assert reading(ALL, "", 7.0) == Reading(7.0)
    assert reading(Figures("api"), text, 7.0) == Reading(7.0)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e300", "x", ""])
def test_a_figure_that_is_none_makes_no_figure(value: str) -> None:
    told = reading(ALL, f"run 1\ntokens_total {value}\nkv {value}\nttft_sum {value}\n", 1.0)
    shown = encode_object(load(told, replace(told, at=0.0)))
    assert shown["running"] == 1
    assert all(one in (None, 0, 0.0, 1, False) for one in shown.values()), shown


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
    hidden = Reading(1.0, running=2, waiting=0, received=20, finished=10)
    assert load(hidden).waiting == 8
    assert load(hidden).waiting_estimated
    assert load(hidden, phantom=5.0).waiting == 3, "five were refused long ago"
    honest = replace(hidden, waiting=9)
    assert (load(honest).waiting, load(honest).waiting_estimated) == (9, False)


def test_nothing_waits_where_nothing_runs() -> None:
    """Requests that were refused are counted as received and never as finished."""
    refused = Reading(1.0, running=0, waiting=0, received=20, finished=10)
    assert (load(refused).waiting, load(refused).waiting_estimated) == (0, False)


def test_a_plan_of_an_older_release_has_no_figures() -> None:
    assert figures_of({}) is None
    assert figures_of({"figures": None}) is None
    assert figures_of({"figures": encode_object(ALL)}) == ALL
    with pytest.raises(ValueError, match=r"plan\.figures"):
        figures_of({"figures": {"port": 3}})


def test_the_releases_of_fastdeploy_that_hide_their_queue() -> None:
    """As their sources say: counted from 2.2, an honest gauge from 2.6."""
    counted = {line: of_fastdeploy(line).received for line in ("2.0", "2.1", "2.2", "2.5", "2.6")}
    assert [line for line, name in counted.items() if name] == ["2.2", "2.5"]
    assert "fastdeploy:num_requests_queuing" in of_fastdeploy("2.6").waiting
    assert OF_VLLM.received is None
