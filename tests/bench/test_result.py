"""A result survives its file, and a file of something else is refused with the place."""

import pytest

from launcher.bench.result import (
    BenchRun,
    Estimate,
    Gate,
    decode_comparison,
    decode_run,
    encode_run,
)
from launcher.codec import DecodeError
from tests.support.bench_runs import bench_run


def test_a_run_is_read_back_as_it_was_written() -> None:
    run = bench_run()
    assert decode_run(encode_run(run)) == run


def test_a_newer_release_may_have_written_more() -> None:
    document = encode_run(bench_run())
    document["moon"] = "full"
    assert isinstance(decode_run(document), BenchRun)


def test_a_wrong_value_is_named_by_its_place() -> None:
    document = encode_run(bench_run())
    document["levels"] = [{"loop": "open"}]
    with pytest.raises(DecodeError, match=r"base\.json\.levels\[0\]\.value: is missing"):
        decode_run(document, "base.json")


def test_a_run_is_no_comparison() -> None:
    with pytest.raises(DecodeError, match="bench-comparison/1"):
        decode_comparison(encode_run(bench_run()))


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        ((), "none"),
        (("met", "met"), "met"),
        (("met", "refused"), "refused"),
        (("refused", "missed", "met"), "missed"),
    ],
)
def test_the_verdict_of_a_run_is_its_worst_gate(verdicts: tuple[str, ...], worst: str) -> None:
    gates = tuple(
        Gate("ttft.p99", "c1", "slo", verdict, "slo", 1.0, 0.5, "s", "")  # type: ignore[arg-type]
        for verdict in verdicts
    )
    assert bench_run(gates=gates).verdict == worst


def test_levels_have_short_names_and_long_ones() -> None:
    closed, opened = bench_run().levels
    assert (closed.key, closed.label) == ("c2", "2 at a time")
    assert (opened.key, opened.label) == ("r2.5", "2.5 per second")


def test_an_estimate_of_few_data_has_no_interval() -> None:
    assert Estimate(1.0).low is None
