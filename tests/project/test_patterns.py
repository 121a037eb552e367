"""No regular expression of the product can be made slow by what it is applied to.

Engine output, server answers and profiles are other people's text. Every pattern gets lines made
from itself: long runs of what it repeats, ending in a near miss, and its beginnings again and
again. Linear is what takes about four times as long for four times the length.
"""

import time

import pytest

from tests.support.patterns import Used, ambiguous, attacks, everything

SHORTEST, SHORT, LONG = 1024, 8 * 1024, 32 * 1024
FLOOR = 0.05
"""CPU seconds for 32 KB that are not worth a question, however slow the machine is."""
MOST = 1.0
PATTERNS = everything()


def cpu(used: Used, line: str, *, runs: int) -> float:
    """The least CPU seconds of several runs."""
    least = float("inf")
    for _ in range(runs):
        begun = time.thread_time()
        used.apply(line)
        least = min(least, time.thread_time() - begun)
    return least


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("used", PATTERNS, ids=lambda used: f"{used.where}-{used.way}")
def test_a_pattern_takes_linear_time_for_lines_made_against_it(used: Used) -> None:
    for attack in attacks(used.regex.pattern, used.regex.flags):
        short, long = attack.line(SHORT), attack.line(LONG)
        description = f"{attack.head!r} + {len(long)} x {attack.body!r} + {attack.end!r}"
        for length in (SHORTEST, SHORT):  # a bad one is found here, before it takes too long
            spent = cpu(used, attack.line(length), runs=1)
            assert spent < MOST / 4, f"{spent:.2f} s for {length} characters of {description}"
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
