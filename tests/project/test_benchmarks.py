"""The benchmarks' own parts: what is written, what is counted as lost, and what is told of it."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import results, writer
from tests.benchmarks.bench_logs import CASES, count_lines
from tests.benchmarks.measure import record
from tests.support import ROOT


@pytest.mark.parametrize("kind", writer.KINDS)
@pytest.mark.parametrize("most", [1, 100, 4096])
def test_the_writer_writes_whole_numbered_lines(kind: str, most: int, tmp_path: Path) -> None:
    pieces = writer.pieces(kind, 250, most)
    longest = len(writer.KINDS[kind] % 0)
    assert all(piece.endswith(b"\n") and len(piece) <= max(most, longest) for piece in pieces)
    log = tmp_path / "log"
    log.write_bytes(b"".join(pieces))
    assert log.read_bytes().count(b"\n") == count_lines(log) == 250


def test_a_lost_a_doubled_and_a_late_line_are_noticed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stamp = "2026-01-02T03:04:05.123456Z stdout F "
    for numbers, count in (((0, 1, 2), 3), ((0, 2), 2), ((0, 1, 1), 2), ((0, 2, 1), 2)):
        log.write_text("".join(f"{stamp}{number:08d} a short line\n" for number in numbers))
        assert count_lines(log) == count


def test_every_case_writes_a_kind_that_exists() -> None:
    assert {case.kind for case in CASES} <= set(writer.KINDS)


def test_figures_become_a_document_and_tables_with_the_load_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, document, page = (tmp_path / name for name in ("lines", "bench.json", "page.md"))
    monkeypatch.setenv("ERNIE_BENCH_RESULTS", str(lines))
    record("start", [0.2, 0.1, 0.3], "s")
    record("burst", [1234567.0], "lines/s", lost=0, mb_per_s=20.0, share_of_core=0.25)
    page.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    results.main([str(lines), str(document), str(page)])
    written = json.loads(document.read_text())
    assert written["schema"] == results.SCHEMA
    first, second = written["figures"]
    assert (first["median"], first["least"], first["most"], first["count"]) == (0.2, 0.1, 0.3, 3)
    assert first["load"] >= 0
    assert second["lost"] == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert f"| start | 200.0 ms | 100.0 ms to 300.0 ms | 3 | {first['load']} |" in text
    assert "| burst | 1,234,567 lines/s; 20.0 MB/s, 25 % of a core, 0 lost |" in text


def test_a_page_without_marks_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n")
    with pytest.raises(ValueError, match="has no lines"):
        results.write_page(page, "x")
    assert page.read_text() == "text\n"


def test_the_documentation_shows_every_benchmark() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    scripts = (ROOT / "tests" / "benchmarks").glob("bench_*.py")
    assert not [s.stem for s in scripts if f"`{s.stem.removeprefix('bench_')}`" not in text]
