"""Fixed texts of patterns: each match holds one of them, or none is known."""

from __future__ import annotations

import re

import pytest

from launcher.diagnose.literals import required
from launcher.diagnose.matching import Matcher


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("not found", ("not found",)),
        (r"port \d+ is in use", (" is in use",)),
        (r"a\.b is missing", ("a.b is missing",)),
        (r"^cannot bind$", ("cannot bind",)),
        ("first text|the second", ("first text", "the second")),
        ("a text|a text", ("a text",)),
        (r"here \| there", ("here | there",)),
        (r"[|(]not found", ("not found",)),
        (r"[]|]not found", ("not found",)),
        (r"[^]|]not found", ("not found",)),
        (r"[\]|]not found", ("not found",)),
        ("the colou?rs", ("the colo",)),
        ("of sizes{3} is", ("of size",)),
        ("a{12}bcdefg", ("bcdefg",)),
        ("an+other", ("other",)),
        # The longest text may be too short: then those of a group that is in every match.
        ("(?:abcd|efgh) x", ("abcd", "efgh")),
        ("(?P<name>abcd) x", ("abcd",)),
        ("(abcd) (efghij)", ("efghij",)),
        (r"(?:a\)b\d) tail", (" tail",)),
        (r"(?:ab[)]c) tail", (" tail",)),
        ("(?:ab(?:c)d) tail", (" tail",)),
        ("(?:a(?:b)cdefg)x", ("cdefg",)),
    ],
)
def test_the_text_that_is_in_every_match(pattern: str, texts: tuple[str, ...]) -> None:
    assert required(pattern) == texts


@pytest.mark.parametrize(
    "pattern",
    [
        "", "abc", "long enough|abc", r"\d+", "[abcdef]", "(?i)not found", "(?x)not found",
        "(?:abcd)?xy", "(?:abcd)*xy", "(?:abcd){0,2}xy", "(?=abcd)xy", "(?!abcd)xy", "(?:abcd|xy)z",
    ],
)  # fmt: skip
def test_where_nothing_is_sure_the_pattern_is_always_run(pattern: str) -> None:
    assert required(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "error"),
    [("never (closed", "unterminated subpattern"), ("never [closed", "unterminated character set")],
)
def test_a_pattern_that_is_none_is_left_to_the_compiler_which_names_its_place(
    pattern: str, error: str
) -> None:
    with pytest.raises(re.error, match=f"{error} at position 6"):
        Matcher([pattern])
