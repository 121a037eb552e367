"""The language of names and texts: names that say nothing, odd phrases, `Any`.

A word can be right where it stands, so some of each are allowed. What is over is listed: give the
name of what it holds (`made` is a run, a plan, a server), and say it in plain words.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.phrases import ODD_PHRASES

EMPTY_NAMES = frozenset((
    "asked", "bad", "found", "given", "good", "held", "known", "made", "many", "news", "other",
    "others", "place", "said", "same", "seen", "shown", "told", "wanted", "whole", "words",
))  # fmt: skip
NAMES_SHARE = 0.003
"""Of all bound names."""
MOST_PHRASES = 5
MOST_ANY = 6.0
"""For each 1,000 lines."""
SPOKEN = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
"""From Python 3.12 on the text of an f-string is a token of its own."""
TEXTS = ("*.yaml", "*.json", "*.md", "*.html")


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each name that is bound, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Each comment, string or line of a document below `folder`, with its place."""
    for path in sorted(folder.rglob("*.py")):
        if path == Path(__file__):
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type in SPOKEN:
                yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string
    for pattern in TEXTS:
        for path in sorted(folder.rglob(pattern)):
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", line


@pytest.mark.parametrize("folder", ["launcher", "tests"])
def test_names_say_what_they_hold(folder: str) -> None:
    count, empty = 0, []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name, line in names(ast.parse(path.read_text())):
            count += 1
            if name.strip("_").lower() in EMPTY_NAMES:
                empty.append(f"{path.relative_to(ROOT)}:{line} {name}")
    assert count > 10_000
    assert len(empty) <= NAMES_SHARE * count, "\n".join(empty)


@pytest.mark.parametrize("folder", ["launcher", "tests", "docs", "deploy"])
def test_phrases_are_plain(folder: str) -> None:
    every = (
        (position, hit)
        for position, text in texts(ROOT / folder)
        for hit in ODD_PHRASES.finditer(text)
    )
    odd = [f"{position} {hit[0]!r}" for position, hit in every]
    assert len(odd) <= MOST_PHRASES, "\n".join(odd)


@pytest.mark.parametrize("folder", ["launcher", "tests"])
def test_few_values_have_no_type(folder: str) -> None:
    lines = untyped = 0
    for path in (ROOT / folder).rglob("*.py"):
        source = path.read_text()
        lines += source.count("\n")
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        untyped += sum(token.type == tokenize.NAME and token.string == "Any" for token in tokens)
    assert 1000 * untyped / lines <= MOST_ANY
