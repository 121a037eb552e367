"""Long lines come in pieces, and what is secret in them is taken out wherever they are cut."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.instance import logs
from launcher.instance.store import InstanceDir
from launcher.instance.tail import LONGEST
from launcher.keeper.output import LogFile, Splitter
from launcher.log_records import CARRIED, LONGEST_RECORD, LongLines, Piece
from launcher.redact import MASK, Redactor

SECRET = "hush-hush-and-not-a-word"
PROMPT = "tell me of Beijing "
"""What a client asked, many times over."""


@pytest.fixture
def instance(tmp_path: Path) -> InstanceDir:
    folder = tmp_path / "one"
    (folder / "logs" / "engine").mkdir(parents=True)
    return InstanceDir(folder)


def log_lines(instance: InstanceDir, source: str = "engine", last: int | None = None) -> list[str]:
    redactor = Redactor([SECRET])
    return list(logs.lines(instance, source, last=last, times=False, redactor=redactor))


def followed(
    instance: InstanceDir, source: str, monkeypatch: pytest.MonkeyPatch, last: int = 1000
) -> list[str]:
    """What `logs -f` shows of an instance that has ended."""
    shown: list[str] = []
    monkeypatch.setattr(logs, "view", lambda instance: ("stopped", None))
    logs.follow(
        instance, source, last=last, times=False, redactor=Redactor([SECRET]), show=shown.append
    )
    return shown


def capture(instance: InstanceDir, *output: tuple[str, str]) -> None:
    """Write what an engine said, as (stream, text), the way the keeper does."""
    log = LogFile(instance.engine_log, max_size=200_000, keep=100)
    splitters = {"stdout": Splitter(), "stderr": Splitter()}
    for stream, text in output:
        log.write(stream, splitters[stream].feed(text.encode()))
    log.close()


def words(length: int) -> str:
    return ("a few plain words " * (length // 18 + 1))[:length]


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        "--api-key abcdefgh",
        '"HF_TOKEN": "abcd efgh"',
        "Bearer abcdefgh",
        "BAIDU_AK=abcdefgh",
    ],
)
@pytest.mark.parametrize("edge", [LONGEST_RECORD, LONGEST_RECORD - CARRIED])
def test_a_secret_at_the_edge_of_a_record_is_taken_out(
    instance: InstanceDir, secret: str, edge: int
) -> None:
    """Also where a piece is cut so that the edge's secret can be seen whole."""
    for place in range(edge - len(secret) - 1, edge + 2):
        instance.engine_log.unlink(missing_ok=True)
        before, after = words(place - 1) + " ", " " + words(LONGEST_RECORD)
        capture(instance, ("stdout", before + secret + after + "\n"))
        expected = before + Redactor([SECRET]).text(secret) + after
        assert MASK in expected
        assert "".join(log_lines(instance)) == expected


@settings(max_examples=30)
@given(place=st.integers(LONGEST - CARRIED - 50, LONGEST + 50))
def test_a_secret_in_an_engines_own_log_is_taken_out_wherever_a_read_ends(place: int) -> None:
    before, after = words(place - 1) + " ", " " + words(LONGEST)
    text = before + SECRET + after
    redactor = Redactor([SECRET])
    long_lines = LongLines(redactor)
    pieces = [
        (text[:LONGEST], True),
        (text[LONGEST : 2 * LONGEST], True),
        (text[2 * LONGEST :], False),
    ]
    shown = "".join(map(redactor.text, long_lines.read(pieces)))
    assert shown == before + MASK + after
    assert list(long_lines.finish()) == []


@pytest.mark.parametrize("source", ["engine", "api_server.log"])
@pytest.mark.parametrize("last", [None, 2, 1])
def test_nothing_of_a_long_request_is_shown(
    instance: InstanceDir, source: str, last: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = "INFO Receive request: {'prompt': '" + PROMPT * 30_000 + "'}\n"
    capture(instance, ("stdout", "before\n" + request + "after\n"))
    (instance.logs / "engine" / "api_server.log").write_text("before\n" + request + "after\n")
    for shown in (log_lines(instance, source, last), followed(instance, source, monkeypatch)):
        assert shown[-1] == "after"
        assert not any("Beijing" in line for line in shown)


def test_the_rest_of_a_secret_that_is_longer_than_a_record_is_not_shown(
    instance: InstanceDir,
) -> None:
    capture(instance, ("stderr", '"HF_TOKEN": "' + "abcd " * 40_000 + '"\nafter\n'))
    shown = log_lines(instance)
    assert not any("abcd" in line for line in shown)
    assert shown[-1] == "after"


def test_what_another_stream_says_meanwhile_is_shown(instance: InstanceDir) -> None:
    head = "request: {" + PROMPT * 5_000
    capture(
        instance, ("stdout", head), ("stderr", "a warning\n"), ("stdout", PROMPT + "}\nthe end\n")
    )
    shown = log_lines(instance)
    assert {"a warning", "the end"} < set(shown)
    assert not any("Beijing" in line for line in shown)


@pytest.mark.parametrize("length", [1, LONGEST_RECORD, LONGEST, 3 * LONGEST, 3 * LONGEST + 1])
@pytest.mark.parametrize("letter", ["x", "é", "文", "😀"])
def test_nothing_of_a_long_line_without_secrets_is_lost(
    instance: InstanceDir, length: int, letter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = letter * length
    capture(instance, ("stdout", text + "\n"))
    (instance.logs / "engine" / "own.log").write_text(text)
    assert "".join(log_lines(instance)) == text
    assert "".join(followed(instance, "engine", monkeypatch)) == text
    for shown in (log_lines(instance, "own.log"), followed(instance, "own.log", monkeypatch)):
        joined = "".join(shown).replace("\ufffd", "")  # a read of a file may cut a letter in two
        assert set(joined) <= {letter}
        assert len(text) - joined.count(letter) <= 2 * length // LONGEST * 4


def test_a_long_line_that_is_not_finished_is_shown_to_its_end(instance: InstanceDir) -> None:
    """An engine that was killed in the middle of it."""
    capture(instance, ("stdout", words(LONGEST_RECORD + 10)))
    assert "".join(log_lines(instance)) == words(LONGEST_RECORD)


def test_a_rotation_while_the_first_lines_are_read_shows_none_twice(
    instance: InstanceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(instance.engine_log, max_size=300, keep=100)
    log.write("stdout", [(b"one", True)])
    listed = logs._rotated

    def rotate_first(path: Path) -> list[Path]:
        log._rotate()
        log.write("stdout", [(b"two", True)])
        return listed(path)

    monkeypatch.setattr(logs, "_rotated", rotate_first)
    shown = followed(instance, "engine", monkeypatch)
    log.close()
    assert shown == ["one", "two"]


def test_secrets_without_an_end_do_not_pile_up() -> None:
    """What is kept for the next piece has a bound, and so has the time."""
    unit = "token='aaaa\" token=\"bbbb' "
    text = unit * (LONGEST_RECORD // len(unit))
    long_lines = LongLines(Redactor())
    shown = list(long_lines.read((text, True) for _ in range(20)))
    assert max(map(len, shown)) <= len(text) + 2 * CARRIED
    assert sum(map(len, long_lines.finish())) <= 2 * CARRIED


def test_a_rotation_while_older_files_are_read_loses_nothing(
    instance: InstanceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(instance.engine_log, max_size=300, keep=100)
    for text in (b"one", b"two"):
        log.write("stdout", [(text, True)])
        log._rotate()
    log.write("stdout", [(b"three", True)])
    read = logs._pieces

    def rotate_first(files: Iterable[BinaryIO]) -> Iterator[Piece]:
        log._rotate()
        log.write("stdout", [(b"four", True)])
        return read(files)

    monkeypatch.setattr(logs, "_pieces", rotate_first)
    shown = followed(instance, "engine", monkeypatch)
    log.close()
    assert shown == ["one", "two", "three", "four"]
