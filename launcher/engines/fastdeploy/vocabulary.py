"""Names that changed between FastDeploy's releases: parsers, and flags spelled differently.

Profiles use neutral names (`ernie-x1`, `load-choices`); a spelling of FastDeploy's own is kept
where the release takes it, so that a model card's command can be written down as it is.
"""

from __future__ import annotations

from launcher.engines.fastdeploy.release_data import LINES, at_least, load, nearest_line
from launcher.json_values import texts_at


def registered(kind: str, line: str) -> tuple[str, ...]:
    """Parser names of `kind` (`reasoning`, `tool`) that release `line` has."""
    from launcher.engines.fastdeploy.question import answer_of

    answer = None if line in LINES else answer_of(line)
    names = answer.parsers.get(kind) if answer is not None else None
    if names is not None:
        return names
    return texts_at(load("parsers.json"), "registered", nearest_line(line), kind)


def folds_underscores(line: str) -> bool:
    """Whether the release turns underscores of a parser's name into dashes before the look-up.

    From 2.3 on: commit a2870ed4, fastdeploy/reasoning/abs_reasoning_parsers.py.
    """
    return at_least(line, "2.3")


def parser(name: str, kind: str, line: str) -> str | None:
    """What release `line` calls the parser, None where it has none of that name."""
    names = registered(kind, line)
    if name in names:
        return name
    if folds_underscores(line) and name.replace("_", "-") in names:
        return name
    return next((n for n in names if n.replace("_", "-") == name.replace("_", "-")), None)


def parser_lines(name: str, kind: str) -> tuple[str, ...]:
    """Releases that have the parser under any spelling."""
    return tuple(line for line in LINES if parser(name, kind, line))
