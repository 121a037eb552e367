"""Plain text that every match of a pattern must contain, so that most logs need no regex at all.

Searching megabytes for a fixed text is a hundred times faster than running a regex over them.
The extraction is conservative: where it is not sure, it says so, and the regex is always run.
"""

from __future__ import annotations

import re

SHORTEST = 4
"""A shorter text is too common to spare work."""

_FLAGS = re.compile(r"\(\?[aLmsu]{0,9}[ix]")
"""Case or layout that does not matter: the pattern's text is not the line's."""
_PLAIN_ESCAPES = ".()[]{}*+?|^$/'\"`-: \\"


def required(pattern: str) -> tuple[str, ...] | None:
    """Texts of which at least one is in every match of `pattern`; None where that is not known."""
    if _FLAGS.search(pattern):
        return None
    texts: list[str] = []
    for branch in _branches(pattern):
        text = _longest(branch)
        if text is None:
            return None
        texts += text
    return tuple(dict.fromkeys(texts))


def _branches(pattern: str) -> list[str]:
    """The alternatives of `pattern` at its top level."""
    branches, start, depth, at = [], 0, 0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _class_end(pattern, at)
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "|" and depth == 0:
            branches.append(pattern[start:at])
            start = at + 1
        at += 1
    return [*branches, pattern[start:]]


def _longest(branch: str) -> tuple[str, ...] | None:
    """What one alternative must contain: its longest plain run, else those of a group in it."""
    runs, run, groups, at = [], "", [], 0
    while at < len(branch):
        char = branch[at]
        after = at + 1
        if char == "\\" and branch[after : after + 1] in _PLAIN_ESCAPES:
            run, after = run + branch[after], after + 1
        elif char in "\\[.^$(":
            runs.append(run)
            run = ""
            if char == "\\":
                after = at + 2
            elif char == "[":
                after = _class_end(branch, at) + 1
            elif char == "(":
                after = _group_end(branch, at) + 1
                if not _optional(branch, after):
                    groups.append(branch[at + 1 : after - 1])
        elif char in "?*{":
            # The character before may be absent.
            runs.append(run[:-1])
            run = ""
            after = branch.index("}", at) + 1 if char == "{" else after
        elif char == "+":
            runs.append(run)
            run = ""
        else:
            run += char
        at = after
    best = max([*runs, run], key=len)
    if len(best) >= SHORTEST:
        return (best,)
    inside = [required(_body(group)) for group in groups if not group.startswith("?!")]
    fixed_texts = [texts for texts in inside if texts]
    return max(fixed_texts, key=lambda texts: min(map(len, texts))) if fixed_texts else None


def _body(group: str) -> str:
    """A group's content without its name or kind."""
    if group.startswith("?P<"):
        return group.partition(">")[2]
    if group.startswith("?:"):
        return group[2:]
    # Look-arounds and flags: nothing can be concluded.
    return "" if group.startswith("?") else group


def _optional(branch: str, after: int) -> bool:
    return branch[after : after + 1] in ("?", "*") or branch[after : after + 2] == "{0"


def _class_end(pattern: str, start: int) -> int:
    """Index of the `]` that ends the class opened at `start`."""
    at = start + 1
    if pattern[at : at + 1] == "^":
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at


def _group_end(pattern: str, start: int) -> int:
    """Index of the `)` that closes the group opened at `start`."""
    depth, at = 0, start
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _class_end(pattern, at)
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    return len(pattern) - 1
