"""Patterns over a whole log: what is counted, what is left out, where the work ends."""

from launcher.diagnose.matching import LOOKED_AT, Matcher

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
