"""The generator's record of every chunk becomes times and counts; what is none is refused."""

import json
import random
from pathlib import Path

import pytest

from launcher.bench.records import FILE, Record, parse_record, read_records
from launcher.errors import PreconditionError
from tests.support.stub_generator import raw_line


def chunk(at: float, **delta: object) -> dict[str, object]:
    value = json.dumps({"choices": [{"delta": delta}]})
    return {"perf_ns": int(at * 1e9), "packets": [{"name": "data", "value": value}]}


def row(*responses: dict[str, object], **changes: object) -> dict[str, object]:
    metadata = {
        "credit_issued_ns": 99_500_000_000, "request_start_ns": 100_000_000_000,
        "request_end_ns": 102_000_000_000, "benchmark_phase": "profiling", "was_cancelled": False,
    }  # fmt: skip
    record: dict[str, object] = {
        "metadata": metadata, "start_perf_ns": 10_000_000_000, "status": 200,
        "responses": list(responses),
    }  # fmt: skip
    return {**record, **changes}


COUNTS = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
USAGE = {
    "perf_ns": 12_000_000_000,
    "packets": [
        {"name": "data", "value": json.dumps(COUNTS)},
        {"name": "data", "value": "[DONE]"},
    ],
}  # fmt: skip


def test_reasoning_and_answer_have_a_first_token_each() -> None:
    record = parse_record(
        row(
            chunk(10.2, role="assistant", content=""),
            chunk(10.3, reasoning_content="hm"),
            chunk(10.4, reasoning_content="hm"),
            chunk(10.9, content="yes"),
            chunk(11.1, content="!"),
            USAGE,
        )
    )
    assert record.ttft == pytest.approx(0.3)
    assert record.ttfa == pytest.approx(0.9)
    assert record.e2e == pytest.approx(1.1)
    assert record.gaps == pytest.approx((0.1, 0.5, 0.2))
    assert record.tpot == pytest.approx(0.8 / 4)
    assert record.user_rate == pytest.approx(5 / 1.1)
    assert (record.input_tokens, record.output_tokens) == (7, 5)


def test_the_wait_before_sending_is_on_the_clock_of_the_rest() -> None:
    record = parse_record(row(chunk(10.5, content="a")))
    assert record.due == pytest.approx(9.5)
    assert record.queue == pytest.approx(0.5)
    assert record.end == pytest.approx(12.0)


def test_a_tool_call_is_an_answer() -> None:
    record = parse_record(row(chunk(10.5, tool_calls=[{"index": 0}])))
    assert record.ttfa == pytest.approx(0.5)


def test_two_chunks_of_one_read_have_no_gap() -> None:
    record = parse_record(row(chunk(10.5, content="a"), chunk(10.5, content="b")))
    assert record.gaps == (0.0,)


def test_failures_are_counted_by_a_short_text() -> None:
    error = {"code": 503, "type": "Service Unavailable", "message": "busy " * 1000}
    assert parse_record(row(status=503, error=error)).error == "HTTP 503"
    second = {"code": None, "type": "ClientConnectorError", "message": ""}
    assert parse_record(row(error=second)).error == "ClientConnectorError"
    assert parse_record(row()).error == "answer without a token"


def test_a_request_that_was_cut_off_is_no_failure_and_no_success() -> None:
    cut = row(chunk(10.5, content="a"))
    cut["metadata"] = {**cut["metadata"], "was_cancelled": True}  # type: ignore[dict-item]
    record = parse_record(cut)
    assert (record.error, record.is_success, record.is_cut) == (None, False, True)


def test_records_come_in_the_order_of_sending(tmp_path: Path) -> None:
    draw = random.Random(1)
    lines = [raw_line(at, "profiling", {}, draw) for at in (30.0, 10.0, 20.0)]
    (tmp_path / FILE).write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert [round(one.begin) for one in read_records(tmp_path)] == [10, 20, 30]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"metadata": 1, "start_perf_ns": 2}', "null"])
def test_a_file_of_another_form_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text + "\n")
    with pytest.raises(PreconditionError) as caught:
        read_records(tmp_path)
    assert caught.value.problems[0].code == "bad-generator-output"
    assert caught.value.problems[0].where == str(tmp_path / FILE)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="No such file"):
        read_records(tmp_path)


def test_an_answer_of_one_token_has_no_time_per_further_token() -> None:
    record = Record(0, 0, 1, (0.5,), 0.5, 1, 1)
    assert record.tpot is None
