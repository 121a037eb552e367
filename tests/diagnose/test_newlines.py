"""Line numbers of large texts; what a diagnosis of any text costs has a bound."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.diagnose import newlines, of_folder
from launcher.diagnose.matching import logical_line
from launcher.diagnose.newlines import Newlines
from launcher.diagnose.sieve import Sieve

LATE = "\nKeyError: \"tool helper: 'x' not found in tool_parsers\"\n"


@given(st.binary(max_size=40), st.lists(st.sampled_from([b"\n", b"a", b"\n\n\n"]), max_size=600))
def test_numbers_and_starts_are_those_of_a_simple_count(head: bytes, rest: list[bytes]) -> None:
    data = head + b"".join(rest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newlines, "BLOCK", 256)
        numbers = Newlines(data)
        starts = [0, *(at + 1 for at, byte in enumerate(data) if byte == 10)]
        assert [numbers.start_of(n) for n in range(len(starts))] == starts
        for offset in (*starts, len(data)):
            assert numbers.line_of(offset) == data.count(b"\n", 0, offset)


@pytest.mark.parametrize("line", ["", "INFO x", "rror", "\x9d" * 40, "." * 40, "40%\r"])
def test_a_log_of_many_lines_costs_little_more_memory_than_its_bytes(
    line: str, tmp_path: Path
) -> None:
    log = tmp_path / "engine.log"
    log.write_text("starting\n" + f"{line}\n" * (2_000_000 // (len(line) + 1)) + LATE)
    tracemalloc.start()
    try:
        answer = of_folder(tmp_path, "fastdeploy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.rule_id == "ED-FD-TOOL-PARSER-UNKNOWN"
    assert answer.evidence is not None
    assert answer.evidence.line == 2_000_000 // (len(line) + 1) + 3
    assert peak < 12 * log.stat().st_size


def test_a_log_in_which_every_line_may_matter_is_not_sifted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("launcher.diagnose.sieve.MOST", 50)
    assert Sieve([b"not found"]).lines(b"not found\n" * 100) is None
    assert Sieve([b"not found"]).lines(b"not found\n" * 40) == list(range(0, 400, 10))


def test_a_line_in_many_parts_is_put_together_up_to_a_bound() -> None:
    part = b"2026-01-09T10:00:01.000000000Z stderr P " + b"x" * 30_000 + b"\n"
    assert 60_000 < len(logical_line(part * 100, 0).content) < 120_000


def test_captured_output_is_read_though_the_engine_wrote_nul_bytes(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    head = "2026-01-09T10:00:01.000000000Z stderr F "
    log.write_text(f"{head}\0\0 odd\n{head}{LATE.strip()}\n")
    assert of_folder(tmp_path, "fastdeploy").rule_id == "ED-FD-TOOL-PARSER-UNKNOWN"
