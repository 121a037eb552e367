"""YAML with comments: a tree of plain values, in which a `Note` is a comment at its place.

PyYAML writes no comments, and a rendered file without its reasons would not be understood.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WIDTH = 98
"""Characters of a line of comment."""

Tree = Mapping[str, Any]
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa1-\u1fff\u2010-\u2027\u2030-\ufdff\U00010000-\U0010ffff]")
"""What YAML does not allow in a text, takes for a line break, or an editor would not show."""
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
"""What YAML 1.1 or 1.2 takes for something else than text."""


class Note(str):
    """A comment: a key of a mapping (its value is ignored) or an item of a list."""


def comment(text: str, indent: str = "") -> list[str]:
    """The text as comment lines."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ",
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip


def yaml_text(tree: Tree) -> str:
    """One document, without a head."""
    return "\n".join(_mapping(tree, "")) + "\n"


def yaml_documents(trees: Iterable[Tree]) -> str:
    """Several documents of one file."""
    return "---\n".join(yaml_text(tree) for tree in trees)


def _mapping(tree: Tree, indent: str) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(key, Note):
            yield from comment(key, indent)
        else:
            yield from _entry(f"{indent}{_scalar(key)}:", value, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    """`head` with its value, on its line or on the lines below it."""
    if isinstance(value, Mapping) and value:
        yield head
        yield from _mapping(value, f"{indent}  ")
    elif isinstance(value, (list, tuple)) and not _is_short(value):
        yield head
        yield from _list(value, f"{indent}  ")
    elif isinstance(value, str) and _is_block(value):
        yield f"{head} |" if value.endswith("\n") else f"{head} |-"
        for line in value.rstrip("\n").split("\n"):
            yield f"{indent}  {line}" if line else ""
    else:
        yield f"{head} {_flow(value)}"


def _list(items: Iterable[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Note):
            yield from comment(item, indent)
        elif isinstance(item, Mapping) and item:
            lines = list(_mapping(item, f"{indent}  "))
            first = next(n for n, line in enumerate(lines) if not line.lstrip().startswith("#"))
            yield from (line[2:] for line in lines[:first])
            yield f"{indent}- {lines[first].lstrip()}"
            yield from lines[first + 1 :]
        else:
            yield f"{indent}- {_flow(item)}"


def _is_short(items: Iterable[Any]) -> bool:
    """True for a list of words that belongs on one line, such as a command."""
    items = list(items)
    return not any(isinstance(one, (Mapping, list, tuple, Note)) for one in items) and not any(
        isinstance(one, str) and len(one) > 60 for one in items
    )


def _is_block(text: str) -> bool:
    """True for lines that a literal block keeps as they are."""
    lines = text.removesuffix("\n").split("\n")
    return (
        len(lines) > 1
        and not lines[0].startswith(" ")
        and bool(lines[0] and lines[-1])
        and all(line.isprintable() for line in lines)
    )


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")  # without the dot, YAML 1.1 reads a text
    return _UNPRINTABLE.sub(lambda match: f"\\U{ord(match[0]):08x}", text)
