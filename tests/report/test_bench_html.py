"""Pages of bench runs: the verdict first, every number with its unit, plots with their words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from launcher.bench.result import (
    BenchComparison,
    BenchRun,
    ComparedFigure,
    Distribution,
    Estimate,
    Sample,
)
from launcher.report import bench_compare_html, bench_html, bench_units
from launcher.report.bench_figures import figures, throughput
from launcher.report.plots import draw, plotter
from launcher.report.plots.figure import Series
from launcher.result import Result
from tests.report.card_results import GATES
from tests.report.test_html import Page
from tests.support.bench_runs import bench_run, level


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots have tests of their own."""
    monkeypatch.setattr(plotter, "find_python", lambda: None)


def page_of(run: BenchRun) -> Page:
    return Page(bench_html.render_noted(Result("bench", run))[0])


def comparison(*figures_: ComparedFigure, **changes: object) -> BenchComparison:
    new = BenchComparison(
        bench_run(), bench_run(levels=(level(ttft=0.05),)), True, "a permutation test", figures_,
        "2026-11-28T18:00:00Z", 90.0,
    )  # fmt: skip
    return replace(new, **changes)  # type: ignore[arg-type]


def compared(metric: str, verdict: str) -> ComparedFigure:
    change = Estimate(-0.24, -0.3, -0.18)
    return ComparedFigure(metric, "c2", "s", 0.2, 0.15, change, 0.004, verdict, "it is so")  # type: ignore[arg-type]


def test_gates_that_were_missed_head_the_page() -> None:
    text, _ = bench_html.render_noted(Result("bench", bench_run(gates=GATES)))
    assert '<header class="fail">' in text
    assert "gates missed: 1, met: 1" in Page(text).text
    gates = text.partition('<section id="gates">')[2].partition("</section>")[0]
    assert re.findall(r">(MISSED|REFUSED|MET)<", gates) == ["MISSED", "REFUSED", "MET"]


def test_times_are_shown_in_milliseconds_and_shares_in_percent() -> None:
    text = page_of(bench_run()).text
    assert "100 / 116 / 119" in text, "p50 / p90 / p99 of 100 ms with a spread of 20 %"
    assert "2.4" in text, "an error rate of 0.024"
    assert bench_units.number(0.1, "s") == "100"
    assert bench_units.number(None, "s") == "-"
    assert bench_units.number(1234.5) == "1234"
    assert bench_units.interval(Estimate(0.1, 0.09, 0.11), "s") == "100 (90 to 110)"
    assert bench_units.interval(Estimate(0.1), "s") == "100"


def test_what_was_measured_is_exact() -> None:
    text = page_of(bench_run()).text
    for part in ("aiperf 0.13.0", "ab12", "a CPU", "1.00 1.00 before", "first token - sent"):
        assert part in text, part


def test_a_run_that_is_not_to_be_believed_says_so_without_gates_too() -> None:
    busy = replace(bench_run().generator, problem="the machine was too busy")
    assert "Not to be believed: the machine was too busy" in page_of(bench_run(generator=busy)).text


def test_where_client_and_server_disagree_is_marked() -> None:
    text = page_of(bench_run()).text
    assert "DISAGREE" in text
    assert "60 tokens more" in text


def test_addresses_are_there_once_in_a_run_and_in_a_comparison() -> None:
    pages = (
        bench_html.render_noted(Result("bench", bench_run(gates=GATES)))[0],
        bench_compare_html.render_noted(Result("bench compare", comparison()))[0],
    )
    for text in pages:
        ids = [a["id"] for _, a in Page(text).elements if "id" in a]
        assert len(ids) == len(set(ids))


def test_a_comparison_begins_with_what_is_worse() -> None:
    some = (compared("itl", "better"), compared("e2e", "no difference shown"),
            compared("ttft", "worse"))  # fmt: skip
    text, _ = bench_compare_html.render_noted(Result("bench compare", comparison(*some)))
    assert "B against A: worse: 1, better: 1, no difference shown: 1" in Page(text).text
    body = text.partition('<section id="figures">')[2].partition("</section>")[0]
    assert re.findall(r"<b>(\w+)</b>", body) == ["ttft", "itl", "e2e"]
    assert "-24.0% (-30.0% to -18.0%)" in body


def test_a_comparison_that_is_refused_says_why() -> None:
    refused = comparison(compared("ttft", "refused"), problem="the machine was busy")
    text, _ = bench_compare_html.render_noted(Result("bench compare", refused))
    assert "every verdict is refused: the machine was busy" in Page(text).text
    assert '<header class="doubt">' in text


def test_a_reason_that_all_figures_share_is_told_once_and_others_stand_beside_theirs() -> None:
    three = [compared(metric, "refused") for metric in ("ttft", "itl", "e2e")]
    text, _ = bench_compare_html.render_noted(Result("bench compare", comparison(*three)))
    assert Page(text).text.count("it is so") == 1
    assert "every verdict is refused: it is so" in Page(text).text
    mixed = comparison(*three, compared("tpot", "better"))
    text, _ = bench_compare_html.render_noted(Result("bench compare", mixed))
    assert Page(text).text.count("it is so") == 3


def test_every_plot_has_words_for_who_does_not_see_it() -> None:
    drawn = figures(bench_run())
    names = [one.name for one in drawn]
    assert names == [
        "throughput-ttft", "throughput-tpot", "distribution-ttft", "distribution-itl",
        "distribution-e2e", "timeline-queue", "timeline-kv", "timeline-memory",
    ]  # fmt: skip
    assert all(len(one.text) > 20 for one in drawn)
    assert "p50 100 ms, p99 119 ms" in drawn[0].text


def test_no_two_lines_of_a_plot_differ_by_colour_alone() -> None:
    """Points differ by their markers, for a single one has no dashes; others by those too."""
    several = tuple(level(value=2**n, ttft=0.1 * (n + 1)) for n in range(12))
    cards = tuple(Sample(float(at), 1.0, 2.0, 0.5, (9,) * 8, 9) for at in range(5))
    server = bench_run(timeline=cards)
    both = comparison(a=server, b=server)
    for one in (*figures(bench_run(levels=several)), *bench_compare_html.figures(both)):
        shapes = {
            (marker(series), dashes(series) if series.kind != "line" else None)
            for series in one.series
        }
        assert len(shapes) == len(one.series), one.name


def dashes(series: Series) -> int:
    return (series.look if series.dash is None else series.dash) % len(draw.DASHES)


def marker(series: Series) -> int:
    return (series.look + 2 * (series.dash or 0)) % len(draw.MARKERS)


def test_a_plot_of_many_levels_shows_those_that_lie_evenly_among_them() -> None:
    several = tuple(level(value=n + 1) for n in range(20))
    by_name = {one.name: one for one in figures(bench_run(levels=several))}
    labels = [series.label for series in by_name["distribution-ttft"].series]
    assert len(labels) == 8
    assert (labels[0], labels[-1]) == ("1 at a time", "20 at a time")


def test_what_was_not_sampled_is_not_drawn() -> None:
    names = [one.name for one in figures(bench_run(timeline=()))]
    assert not [name for name in names if name.startswith("timeline")]
    assert figures(bench_run(levels=(), timeline=())) == []


def test_levels_without_an_interval_have_none_in_the_plot() -> None:
    one = level()
    bare = without_intervals(one.latencies.ttft)
    plain = replace(one, latencies=replace(one.latencies, ttft=bare))
    figure = throughput((("", bench_run(levels=(plain,))),), "ttft")
    assert [series.low for series in figure.series] == [(), ()]


def without_intervals(one: Distribution | None) -> Distribution:
    assert one is not None
    return replace(one, p50=Estimate(one.p50.value), p99=Estimate(one.p99.value))


def test_open_and_closed_loops_are_lines_of_their_own() -> None:
    labels = [one.label for one in figures(bench_run())[0].series]
    assert labels == ["closed loop, p50", "closed loop, p99", "open loop, p50", "open loop, p99"]
