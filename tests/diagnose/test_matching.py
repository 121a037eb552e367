"""Patterns over a whole log: what is counted, what is left out, where the work ends."""

import calendar

import pytest

from launcher.diagnose.lines import read
from launcher.diagnose.matching import (
    LOOKED_AT,
    Hit,
    Matcher,
    Span,
    chatter,
    record_of,
    span_of,
    time_near,
)

CAUSE = b"ValueError: layer 7\n"
NOISE = b"ValueError: harmless\n"


def lines_of(matcher: Matcher, data: bytes, limit: int = 200) -> list[str]:
    return [hit.content for hit in matcher.hits(data, limit=limit)]


def test_a_match_behind_many_lines_of_noise_is_found() -> None:
    matcher = Matcher([r"ValueError: \w+"], noise=["harmless"])
    assert lines_of(matcher, 300 * NOISE + CAUSE) == ["ValueError: layer 7"]


def test_a_match_behind_many_lines_of_source_code_is_found() -> None:
    frame = b'  File "x.py", line 1, in f\n    raise ValueError: layer 7\n'
    matcher = Matcher([r"ValueError: \w+"])
    assert lines_of(matcher, 300 * frame + CAUSE) == ["ValueError: layer 7"]


def test_matches_are_counted_for_each_pattern() -> None:
    matcher = Matcher([r"ValueError: \w+", r"KeyError: \w+"])
    matched = lines_of(matcher, 10 * CAUSE + b"KeyError: x\n", limit=3)
    assert matched == 3 * ["ValueError: layer 7"] + ["KeyError: x"]


def test_the_lines_that_are_looked_at_are_bounded() -> None:
    matcher = Matcher([r"ValueError: \w+"], noise=["harmless"])
    assert lines_of(matcher, LOOKED_AT * 3 * NOISE + CAUSE, limit=3) == []
    assert lines_of(matcher, (LOOKED_AT * 3 - 1) * NOISE + CAUSE, limit=3) == [
        "ValueError: layer 7"
    ]


def test_a_pattern_without_a_fixed_text_sees_every_line() -> None:
    matcher = Matcher([r"^\d: \w$"])
    data = b"1: a\n\n2: b\n3: c"
    assert [hit.offset for hit in matcher.hits(data)] == [0, 6, 11]
    assert [hit.offset for hit in matcher.hits(data + b"\n")] == [0, 6, 11]
    assert [hit.offset for hit in matcher.hits(data, talkative={0})] == [0, 6, 11]


def test_only_some_patterns_look_at_what_loggers_chat() -> None:
    """A request that quotes an error is none; a warning may be all there is of its cause."""
    matcher = Matcher([r"ValueError: \w+", r"Error: layer \d"])
    data = b"INFO the prompt: ValueError: layer 7\nValueError: layer 8\n"
    hits = [(hit.index, hit.content[-7:]) for hit in matcher.hits(data, talkative={1})]
    assert hits == [(0, "layer 8"), (1, "layer 7"), (1, "layer 8")]


def at(hour: int) -> float:
    """This hour of the day of the lines below, in epoch seconds."""
    return float(calendar.timegm((2026, 1, 9, hour, 0, 0)))


def test_last_words_were_written_between_the_lines_around_them() -> None:
    """Between an old start and a new one they are the old one's."""
    data = b"2026-01-09T10:00:00Z old\nlast words\n2026-01-09T12:00:00Z new\n"
    span = span_of(read("last words"), data, data.index(b"last"), modified=0.0)
    assert span == Span(at(10), at(12), True, at(10))
    assert span.order == at(10)
    starts = [(10, True), (11, True), (11, False), (12, False)]
    new = [span.may_be_since(at(hour), several=several) for hour, several in starts]
    assert new == [True, False, True, False]


def test_last_words_at_the_end_were_written_before_the_file_was() -> None:
    data = b"2026-01-09T10:00:00Z old\nlast words\n"
    span = span_of(read("last words"), data, data.index(b"last"), modified=at(12))
    assert span == Span(at(10), at(12) + 1.0, False, at(10))
    assert span.may_be_since(at(11), several=True)
    alone = span_of(read("words"), b"words\n", 0, modified=at(12))
    assert (alone.low, alone.order) == (None, at(12) + 1.0)


@pytest.mark.parametrize(("lines_between", "hour"), [(3, 10), (7_000, 12)])
def test_the_time_of_a_record_that_is_far_above_is_not_a_lines(
    lines_between: int, hour: int
) -> None:
    between = b"0123456789\n" * lines_between
    data = b"2026-01-09T10:00:00Z old\n" + between + b"words\n2026-01-09T12:00:00Z new\n"
    assert time_near(data, data.index(b"words")) == at(hour)


def test_in_a_loggers_file_a_line_belongs_to_the_record_above_it() -> None:
    """What users write may look like an error; in captured output it may be one."""
    data = b"INFO the prompt:\nValueError: no\nERROR it failed:\nKeyError: x\n"
    quoted, real = (
        Hit(0, offset, read(data[offset:].split(b"\n")[0].decode()), "")
        for offset in (data.index(b"Value"), data.index(b"Key"))
    )
    assert chatter(quoted, data, logger_only=True)
    assert not chatter(quoted, data, logger_only=False)
    assert not chatter(real, data, logger_only=True)
    above = record_of(data, quoted.offset)
    assert above is not None
    assert above.level == "INFO"
    assert record_of(b"words\nmore\n", 6) is None
