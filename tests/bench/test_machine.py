"""A busy machine is noticed, and its figures are not believed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from launcher.bench import machine
from launcher.bench.generator import end_session
from launcher.bench.machine import Watch, describe_machine, judge_generator
from launcher.bench.result import Generator, Sample
from tests.support.bench_runs import level
from tests.support.waiting import wait_for


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (Generator("g", "1", 0.4, 0.001), None),
        (Generator("g", "1", 0.4, 0.02), "too busy"),
        (Generator("g", "1", 0.97, 0.001), "at its limit"),
        (Generator("g", "1", None, None), None),
    ],
)
def test_lateness_is_held_against_the_shortest_latency(
    observed: Generator, expected: str | None
) -> None:
    """The level's median TTFT is 100 ms: a timer may be 10 ms late."""
    problem = judge_generator(observed, [level(), level("open", 1, 0.5)]).problem
    assert (problem is None) == (expected is None)
    assert (expected or "") in (problem or "")


def test_long_latencies_bear_a_busier_machine() -> None:
    late = Generator("g", "1", 0.1, 0.09)
    assert judge_generator(late, [level(ttft=1.0)]).problem is None
    assert judge_generator(late, [level(ttft=0.1)]).problem is not None


def test_samples_come_with_what_the_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PERIOD", 0.02)

    def read(sample: Sample) -> Sample:
        return Sample(sample.at, running=3.0, load=sample.load, late=sample.late)

    with Watch(read) as watch:
        wait_for(lambda: len(watch.samples) >= 3, "three samples")
    times = [one.at for one in watch.samples]
    assert times == sorted(times)
    assert {one.running for one in watch.samples} == {3.0}
    assert all(one.load is not None for one in watch.samples)


def test_a_long_run_keeps_a_bounded_time_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PERIOD", 0.001)
    monkeypatch.setattr(machine, "MOST_SAMPLES", 10)
    with Watch() as watch:
        wait_for(lambda: bool(watch.samples) and watch.samples[-1].at > 0.3, "a long time line")
    assert 0 < len(watch.samples) <= 10


def test_the_busiest_process_of_the_generator_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PERIOD", 0.05)
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        with Watch() as watch:
            watch.follow(process.pid)
            wait_for(lambda: watch.generator("g", "1").busiest, "a busy process")
    finally:
        end_session(process)
    assert watch.generator("g", "1").late_p99 is not None


def test_the_machine_has_a_name_a_processor_and_memory() -> None:
    one = describe_machine((1.0, 2.0, 3.0), is_local=True)
    assert one.name
    assert one.cpu
    assert one.cores >= 1
    assert one.memory > 2**28
    assert one.load_before == (1.0, 2.0, 3.0)
