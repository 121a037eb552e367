"""No regular expression of the product can be made slow by what it is applied to.

Engine output, server answers and profiles are other people's text. Every pattern gets lines made
from itself: long runs of what it repeats, ending in a near miss, and its beginnings again and
again. Linear is what takes about four times as long for four times the length.
"""

import contextlib
import re
import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.patterns import Used, ambiguous, attacks, everything

SHORTEST, SHORT, LONG = 1024, 8 * 1024, 32 * 1024
FLOOR = 0.05
"""CPU seconds for 32 KB that are not worth a question, however slow the machine is."""
MOST = 1.0
HOPELESS = 10 * MOST
"""CPU seconds after which one use is ended: counted runs within counted runs would take hours."""
PATTERNS = everything()


@contextlib.contextmanager
def ended_when_hopeless(line: str) -> Iterator[None]:
    """A search that goes on and on looks for signals now and then, so it can be ended."""

    def end(number: int, frame: object) -> None:
        raise AssertionError(f"more than {HOPELESS:g} s for {len(line)} characters")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, HOPELESS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def cpu(used: Used, line: str, *, runs: int) -> float:
    """The least CPU seconds of several runs."""
    least = float("inf")
    for _ in range(runs):
        begun = time.thread_time()
        with ended_when_hopeless(line):
            used.apply(line)
        least = min(least, time.thread_time() - begun)
    return least


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("used", PATTERNS, ids=lambda used: f"{used.where}-{used.way}")
def test_a_pattern_takes_linear_time_for_lines_made_against_it(used: Used) -> None:
    must_be_linear(used)


def must_be_linear(used: Used) -> None:
    for attack in attacks(used.regex.pattern, used.regex.flags):
        spent, short, long = 0.0, attack.line(SHORT), attack.line(LONG)
        description = f"{attack.head!r} + {len(long)} x {attack.body!r} + {attack.end!r}"
        for length in (SHORTEST, SHORT, LONG // 2):  # a bad one is found before it takes too long
            if length > SHORT and spent < FLOOR / 16:
                break
            limit = max(MOST / 4, MOST * length / LONG)
            spent = cpu(used, attack.line(length), runs=1)
            if spent >= limit:  # or the machine was busy
                spent = cpu(used, attack.line(length), runs=1)
            assert spent < limit, f"{spent:.2f} s for {length} characters of {description}"
        if spent < FLOOR / 16:
            continue  # four times the length takes less than FLOOR, even in quadratic time
        spent = cpu(used, long, runs=1)
        if spent < FLOOR:
            continue
        growth = spent / max(cpu(used, short, runs=1), FLOOR / 16)
        if spent >= MOST or growth >= 8:  # or the machine was busy: asked again, carefully
            spent = cpu(used, long, runs=5)
            growth = spent / max(cpu(used, short, runs=5), FLOOR / 16)
        assert spent < MOST, f"{spent:.2f} s for {description}"
        assert spent < FLOOR or growth < 8, f"{spent:.3f} s, {growth:.1f} x for 4 x: {description}"


@pytest.mark.parametrize("used", PATTERNS, ids=lambda used: f"{used.where}-{used.way}")
def test_a_pattern_leaves_one_way_to_divide_a_text(used: Used) -> None:
    assert ambiguous(used.regex.pattern, used.regex.flags) is None


@pytest.mark.parametrize(
    ("pattern", "clear"),
    [
        (r"(a+)+b", False),
        (r"(?:a*)*b", False),
        (r"(?:\d+|x)*,", True),
        (r"\s*[\[(]?\s*=", False),
        (r"\w+\d*x", False),
        (r"a*(?:b*c)?", True),
        (r"\S+.*x", False),
        (r"(:[a-z]+)*", True),
        (r"\s+\S+\s+\S.*", True),
        (r"[0-9a-f.]*:[0-9a-f:.]*", True),
        (r"(?:x|(\w+)+y)", False),
    ],
)
def test_the_check_knows_what_is_ambiguous(pattern: str, clear: bool) -> None:
    assert (ambiguous(pattern) is None) == clear


PLANTED = {
    "a number in front of a unit": (r"[\d.]+ GiB", "search"),
    "a run in front of what is missing": (r"\w+:", "search"),
    "a run of a negated class": (r"[^,]+,", "search"),
    "anything between two words": (r"start.*end", "search"),
    "blanks in front of the end": (r"\s+$", "search"),
    "an opened bracket that is not closed": (r"\[[^\]]*\]", "sub"),
    "a terminal's sequence that is not ended": (r"\x9d[^\x07\x1b]*(?:\x07|\x1b\\\\)", "sub"),
    "a lookahead over the rest": (r"(?=.*x)a", "search"),
    "two runs one after the other": (r"^\w*\d*x", "match"),
    "a counted run": (r"\d{3,}x", "search"),
    "an alternative of runs": (r"(?:a+|b+)c", "search"),
    "bytes": (rb"[\d.]+ GiB", "search"),
    "counted runs within a counted run": (
        r"of \{a: \[[^]]{0,300}no[^]]{0,300}\](, b: \[[^]]{0,300}no[^]]{0,300}\]){0,30}\}",
        "search",
    ),
}
"""Kinds of patterns that take quadratic time or worse, each as people write them."""


@pytest.mark.parametrize("kind", PLANTED)
def test_the_screen_catches_a_planted_pattern(kind: str) -> None:
    text, way = PLANTED[kind]
    planted = Used(kind, re.compile(text), way)
    if ambiguous(planted.regex.pattern) is None:
        with pytest.raises(AssertionError, match=r"\d s for | x for "):
            must_be_linear(planted)


@pytest.mark.parametrize(
    ("text", "way"),
    [
        (r"(?<![\d.])\d[\d.]{0,20} GiB", "search"),
        (r"^\w+:", "match"),
        (r"start[^\n]{0,200}end", "search"),
        (r"'[^']{0,80}' failed", "finditer"),
        (r"\d{1,8}x", "search"),
    ],
)
def test_the_screen_lets_bounded_patterns_pass(text: str, way: str) -> None:
    must_be_linear(Used("bounded", re.compile(text), way))
