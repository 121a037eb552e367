"""Phrases that a reader who learned English at work has to look up, or read twice."""

import re

_ODD = (
    r"(some|no|every)body|[w]hoever|[m]end(s|ed|ing)?|(for) ever|(all) the same|[wt]?(hence)"
    r"|[l]est|(so) often|(for) want of"
)
ODD_WORDS = re.compile(rf"\b({_ODD})\b", re.IGNORECASE)
ODD_PHRASES = re.compile(rf"\b({_ODD}|(is|are) (no) [a-z]+)\b", re.IGNORECASE)
"""With `is` and a noun that `no` stands before: `is not a` says it in one reading."""
