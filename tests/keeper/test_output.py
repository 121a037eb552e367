"""The engine's output: cut into lines, stamped, rotated, and never lost."""

import errno
import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.keeper import output
from launcher.keeper.output import LogFile, Runs, Splitter
from launcher.log_records import LONGEST_RECORD, parse_record


def by_line(runs: Runs) -> Runs:
    """Each line by itself."""
    return [(line, is_complete) for text, is_complete in runs for line in text.split(b"\n")]


def fed(*pieces: bytes) -> Runs:
    splitter = Splitter()
    runs = [run for piece in pieces for run in splitter.feed(piece)] + splitter.finish()
    return by_line(runs)


def read_line_by_line(stream: bytes, longest: int = LONGEST_RECORD) -> Runs:
    """What the splitter has to find, by the plainest way: one line after the other."""
    lines: Runs = []
    ended = re.split(rb"\r?\n", stream.removesuffix(b"\r"))
    for number, line in enumerate(ended):
        *overwritten, last = line.split(b"\r")
        lines += [(text, False) for text in overwritten]
        if number < len(ended) - 1 or last:
            lines.append((last, True))
    cut: Runs = []
    for text, is_complete in lines:
        while len(text) > longest:
            cut.append((text[:longest], False))
            text = text[longest:]
        cut.append((text, is_complete))
    return cut


def test_lines_end_at_newlines_carriage_returns_and_both() -> None:
    assert fed(b"one\ntwo\r\nthree\rfour") == [
        (b"one", True), (b"two", True), (b"three", False), (b"four", True),
    ]  # fmt: skip


def test_a_carriage_return_at_the_end_may_be_half_of_an_ending() -> None:
    assert fed(b"one\r", b"\ntwo\n") == [(b"one", True), (b"two", True)]
    assert fed(b"50%\r", b"60%\n") == [(b"50%", False), (b"60%", True)]


def test_a_progress_bar_can_be_read_before_it_is_overwritten() -> None:
    splitter = Splitter()
    splitter.feed(b"Loading: 40%")
    assert splitter.unfinished() == b"Loading: 40%"
    splitter.feed(b"\r")
    assert splitter.unfinished() == b"Loading: 40%"
    splitter.feed(b"Loading: 50%")
    assert splitter.unfinished() == b"Loading: 50%"


def test_a_line_without_an_end_is_cut_into_records() -> None:
    lines = fed(b"x" * (2 * LONGEST_RECORD + 5))
    assert [len(text) for text, _ in lines] == [LONGEST_RECORD, LONGEST_RECORD, 5]
    assert [is_complete for _, is_complete in lines] == [False, False, True]


def test_a_line_is_cut_at_the_same_places_however_it_comes() -> None:
    line = b"x" * (2 * LONGEST_RECORD + 5) + b"\n"
    assert fed(line) == fed(line[:7], line[7:100_000], line[100_000:])
    assert [len(text) for text, _ in fed(line)] == [LONGEST_RECORD, LONGEST_RECORD, 5]


@pytest.mark.parametrize("shift", range(4))
def test_no_character_is_cut_in_two(shift: int) -> None:
    text = "x" * shift + "\U0001f600你" * 30_000
    pieces = [piece for piece, _ in fed(text.encode())]
    assert len(pieces) > 3
    assert "".join(piece.decode() for piece in pieces) == text


def test_an_endless_line_costs_no_memory() -> None:
    """6 MB without a newline, and as many bars that overwrite each other."""
    for piece in (b"\x9d" * 65536, b"50%\r" * 16384, b"\x00" * 65536, b"\x1b[1m" * 16384):
        splitter = Splitter()
        tracemalloc.start()
        try:
            for _ in range(100):
                for text, _ in splitter.feed(piece):
                    assert len(text) <= LONGEST_RECORD
            assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
        finally:
            tracemalloc.stop()


STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n"]), max_size=30).map(b"".join),
    ),
    max_size=12,
)


@given(STREAMS)
def test_blocks_hold_the_lines_that_are_read_one_by_one(pieces: list[bytes]) -> None:
    assert fed(*pieces) == read_line_by_line(b"".join(pieces))


@given(
    st.lists(st.text("ab\r\n", max_size=20).map(str.encode), max_size=12),
    st.integers(1, 9),
)
def test_long_lines_are_cut_in_a_block_as_one_by_one(pieces: list[bytes], longest: int) -> None:
    with mock.patch.object(output, "LONGEST_RECORD", longest):
        assert fed(*pieces) == read_line_by_line(b"".join(pieces), longest)


def test_lines_that_end_alike_are_one_block() -> None:
    assert Splitter().feed(b"a\n\nb\r\nc\n") == [(b"a\n\nb\nc", True)]
    assert Splitter().feed(b"1%\r2%\r3%\ra\nb\n") == [(b"1%\n2%\n3%", False), (b"a\nb", True)]


@given(
    st.lists(st.lists(st.tuples(st.binary(max_size=12), st.booleans()), max_size=8), max_size=8),
    st.integers(40, 300),
    st.integers(0, 3),
)
def test_a_block_fills_files_as_its_lines_do(
    tmp_path_factory: pytest.TempPathFactory, writes: list[Runs], max_size: int, keep: int
) -> None:
    """Also over rotations, to the byte."""
    written = []
    with mock.patch("time.time", return_value=1_767_268_800.123456):
        for is_split in (False, True):
            folder = tmp_path_factory.mktemp("logs")
            log = LogFile(folder / "engine.log", max_size, keep)
            for runs in writes:
                for lines in [[one] for one in by_line(runs)] if is_split else [runs]:
                    log.write("stdout", lines)
            log.close()
            assert log.lost_bytes == 0
            written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]


@given(st.lists(st.binary(max_size=20), max_size=12))
def test_however_the_stream_is_cut_its_text_is_the_same(pieces: list[bytes]) -> None:
    rebuilt = fed(b"".join(pieces))
    assert fed(*pieces) == rebuilt
    joined = b"".join(text for text, _ in rebuilt)
    assert joined == re.sub(rb"[\r\n]", b"", b"".join(pieces))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60))
def test_a_record_gives_back_its_text(tmp_path_factory: object, text: str) -> None:
    line = f"2026-01-02T03:04:05.123456Z stderr F {text}"
    assert parse_record(line) == ("2026-01-02T03:04:05.123456Z", "stderr", "F", text)


def test_what_is_no_record_is_none() -> None:
    for line in ("", "just words here", "2026 stderr X text", "2026 nowhere F text"):
        assert parse_record(line) is None


def texts(path: Path) -> list[str]:
    records = [parse_record(line) for line in path.read_text().splitlines()]
    assert None not in records, path.read_text()
    return [record[3] for record in records if record]


def test_nothing_is_lost_over_rotations(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "engine.log", max_size=2000, keep=1000)
    for number in range(500):
        log.write("stdout", [(f"line {number}".encode(), True)])
    log.close()

    rotated = sorted(tmp_path.glob("engine.log.*"), key=lambda p: -int(p.suffix[1:]))
    files = [*rotated, tmp_path / "engine.log"]
    assert len(files) > 5
    assert [t for file in files for t in texts(file)] == [f"line {n}" for n in range(500)]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_only_so_many_rotated_files_are_kept(tmp_path: Path) -> None:
    for keep in (0, 1, 3):
        folder = tmp_path / str(keep)
        folder.mkdir()
        log = LogFile(folder / "engine.log", max_size=500, keep=keep)
        for number in range(100):
            log.write("stdout", [(f"line {number}".encode(), True)])
        log.close()
        names = {p.name for p in folder.iterdir()}
        assert names == {"engine.log", *(f"engine.log.{n + 1}" for n in range(keep))}
        assert texts(folder / "engine.log")[-1] == "line 99"


@pytest.mark.parametrize(("spare", "is_rotated"), [(0, False), (-1, True)])
def test_a_record_that_fits_to_the_byte_begins_no_new_file(
    tmp_path: Path, spare: int, is_rotated: bool
) -> None:
    one = LogFile(tmp_path / "one.log", max_size=10_000, keep=1)
    one.write("stdout", [(b"a line", True)])
    one.close()
    size = (tmp_path / "one.log").stat().st_size
    log = LogFile(tmp_path / "engine.log", max_size=2 * size + spare, keep=1)
    for _ in range(2):
        log.write("stdout", [(b"a line", True)])
    log.close()
    assert (tmp_path / "engine.log.1").exists() is is_rotated


def test_a_log_is_continued_after_a_restart(tmp_path: Path) -> None:
    for number in range(2):
        log = LogFile(tmp_path / "engine.log", max_size=10_000, keep=2)
        log.write("stderr", [(f"run {number}".encode(), True)])
        log.close()
    assert texts(tmp_path / "engine.log") == ["run 0", "run 1"]


def test_a_folder_in_the_way_of_a_rotation_is_moved_aside(tmp_path: Path) -> None:
    """Else the file would grow without a bound."""
    (tmp_path / "engine.log.1").mkdir()
    (tmp_path / "engine.log.1" / "in the way").touch()
    log = LogFile(tmp_path / "engine.log", max_size=200, keep=1)
    for number in range(20):
        log.write("stdout", [(f"line {number}".encode(), True)])
    log.close()
    assert (tmp_path / "engine.log").stat().st_size <= 200
    assert texts(tmp_path / "engine.log.1")


def moved(path: Path) -> None:
    path.rename(path.with_name("engine.log-20260102"))


def moved_and_created(path: Path) -> None:
    moved(path)
    path.touch()
    path.chmod(0o644)


def copied_and_truncated(path: Path) -> None:
    path.with_name("engine.log-20260102").write_bytes(path.read_bytes())
    os.truncate(path, 0)


def replaced(path: Path) -> None:
    moved(path)
    path.mkdir()


@pytest.mark.parametrize("rotate", [
    moved, moved_and_created, copied_and_truncated, replaced
], ids=lambda one: one.__name__)  # fmt: skip
def test_no_line_is_lost_when_others_rotate_the_log(
    tmp_path: Path, rotate: Callable[[Path], None]
) -> None:
    """At once: at no moment do lines go to a file that is not read."""
    path = tmp_path / "engine.log"
    log = LogFile(path, max_size=400, keep=1)
    log.write("stdout", [(b"before " + b"x" * 200, True)])
    rotate(path)
    for number in range(5):
        log.write("stdout", [(f"line {number}".encode(), True)])
    log.close()
    assert texts(tmp_path / "engine.log-20260102") == ["before " + "x" * 200]
    assert texts(path) == [f"line {n}" for n in range(5)], "its size counts anew as well"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "engine.log.1").exists()


def test_a_rotation_that_fails_goes_on_with_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def refuse(self: Path, target: Path) -> Path:
        tries.append(target)
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    log = LogFile(tmp_path / "engine.log", max_size=200, keep=1)
    for number in range(20):
        log.write("stdout", [(f"line {number}".encode(), True)])
    log.close()
    assert texts(tmp_path / "engine.log") == [f"line {n}" for n in range(20)]
    assert 0 < len(tries) < 8, "not at every line"


def test_a_full_disk_costs_lines_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(tmp_path / "engine.log", max_size=1000, keep=1)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    log.write("stdout", [(b"lost", True)])
    monkeypatch.undo()
    log.close()
    assert log.lost_bytes > len(b"lost")


def test_a_record_of_three_fields_has_no_text() -> None:
    assert parse_record("2026-01-02T03:04:05Z stdout F") == (
        "2026-01-02T03:04:05Z", "stdout", "F", ""
    )  # fmt: skip
    assert parse_record("2026-01-02T03:04:05Z stdout F a b") == (
        "2026-01-02T03:04:05Z", "stdout", "F", "a b"
    )  # fmt: skip


def test_every_line_that_ended_is_whole() -> None:
    assert fed(b"a\nb\n\nc\n") == [(b"a", True), (b"b", True), (b"", True), (b"c", True)]
    assert fed(b"a\rb\nc\nd") == [(b"a", False), (b"b", True), (b"c", True), (b"d", True)]


@pytest.mark.parametrize("character", ["é", "上", "😀"])
def test_a_record_is_cut_before_the_character_that_does_not_fit(character: str) -> None:
    """As late as can be, whichever byte of the character stands on the border."""
    size = len(character.encode())
    for before in range(size + 1):
        text = b"x" * (LONGEST_RECORD - before) + character.encode() + b"y" * 10
        (first, first_whole), *rest = fed(text + b"\n")
        fits = before in (0, size)
        assert len(first) == (LONGEST_RECORD if fits else LONGEST_RECORD - before)
        assert not first_whole
        assert first + b"".join(piece for piece, _ in rest) == text
        assert [complete for _, complete in rest] == [True]
