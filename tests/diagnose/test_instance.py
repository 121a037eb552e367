"""Whose logs lie in a folder."""

from __future__ import annotations

from pathlib import Path

from launcher import engines
from launcher.diagnose import instance
from launcher.diagnose.instance import recognised, whose


def test_without_a_word_of_an_engine_the_rules_of_all_are_tried(tmp_path: Path) -> None:
    *books, _ = engines.rule_books()
    log = tmp_path / "server.log"
    log.write_text("ERROR: it ended\n")
    assert list(whose(tmp_path, books)) == books
    for book in books:
        log.write_text(f"ERROR: it ended\n{book.signs[0]}\n")
        assert whose(tmp_path, books) == [book]
        assert whose(log, books) == [book]


def test_what_has_no_line_of_a_log_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("buy milk\n")
    assert not recognised(tmp_path)
    (tmp_path / "server.log").write_text("ERROR: it ended\n")
    assert recognised(tmp_path)
    assert recognised(tmp_path / "server.log")


def test_rotated_parts_are_read_before_what_was_written_after_them() -> None:
    parts = [Path(name) for name in ("engine.log", "engine.log.2", "engine.log.10", "engine.log.1")]
    names = [path.name for path in sorted(parts, key=instance._age, reverse=True)]
    assert names == ["engine.log.10", "engine.log.2", "engine.log.1", "engine.log"]
    assert instance._age(parts[0]) < instance._age(parts[3])
