"""Lines of a profile as an error may quote them: what may be a secret is masked.

A profile holds no secret if it is right; the one that is quoted is wrong. So a value is masked as
soon as its key is named like a secret's by any rule that we have, or an error says that it is one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import yaml

from launcher.profile.scalars import REFERENCE
from launcher.redact import MASK, Redactor, is_secret_flag, is_secret_name

LONGEST_LINE = 20_000
"""Characters of a line that are looked at: a profile in JSON may be one line."""
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_NAMED = re.compile(r"(?<![\w.-])-{0,2}(?P<name>[A-Za-z_][\w.-]*)[\"']?\s*[:=]")
_VALUE = re.compile(
    r"(?<![\w.-])-{0,2}(?P<name>[A-Za-z_][\w.-]*)[\"']?\s*[:=]\s*(?P<value>[^\s,}\]#][^,}\]]*)"
)
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HIDDEN, _KEPT = "\ue000", "\ue001"
"""Stand for a mask, and for a reference, while other secrets are looked for."""
_SAFE_REFERENCE = re.compile(r"\benv:[A-Za-z_]\w*|\bfile:[\w./~-]+")
_Position = tuple[int, int]


@dataclass(frozen=True)
class Quote:
    """A line of a file, masked, and the column (from 0) of the place in it."""

    text: str
    column: int


def _names_secret(name: str) -> bool:
    """True if a value of this name is a secret by any rule: variable, header, flag, plural."""
    return any(is_secret_name(one) or is_secret_flag(one) for one in (name, name.rstrip("sS")))


def quote(text: str, line: int, column: int, secret: Collection[_Position] = ()) -> Quote | None:
    """The line `line` of `text` with the place `column`, both from 1; None where there is none.

    `secret` are the places (line, column) at which an error says that a secret stands.
    """
    lines = _BREAK.split(text)
    if not 0 < line <= len(lines):
        return None
    content = lines[line - 1]
    at = max(0, min(column - 1, len(content)))
    content = content.replace(_HIDDEN, "?").replace(_KEPT, "?")
    if len(content) > LONGEST_LINE:
        content = content[:LONGEST_LINE]
        if at > LONGEST_LINE:
            return None
    spans = _masked(text, lines, line - 1, secret)
    spans += _by_name(content)
    spans = [(begin, min(end, len(content))) for begin, end in spans if begin < len(content)]
    return Quote(*_redacted(*_replace(content, spans, at)))


def _masked(
    text: str, lines: list[str], line: int, secret: Collection[_Position]
) -> list[tuple[int, int]]:
    """Columns of the line that hold (a part of) a secret's value."""
    scan = _Scan()
    broken = False
    try:
        for event in yaml.parse(text, Loader=_Loader):
            scan.take(event)
    except yaml.YAMLError:
        broken = True
    spans = []
    reported = {(row - 1, col - 1) for row, col in secret}
    for begin, end, hidden in scan.values:
        if (hidden or begin in reported) and begin[0] <= line <= end[0]:
            first = begin[1] if begin[0] == line else _indent(lines[line])
            spans.append((first, end[1] if end[0] == line else len(lines[line])))
    if broken and line >= scan.line:
        # Nothing is known of this part: a quote that is not closed may hold the rest of a secret.
        before = lines[scan.line : line]
        inside = scan.is_inside_secret()
        if inside or any(
            _names_secret(match["name"]) for one in before for match in _NAMED.finditer(one)
        ):
            spans.append((_indent(lines[line]), len(lines[line])))
    return spans


class _Scan:
    """Collects where values stand (from, to) and whether they belong to a secret's name."""

    def __init__(self) -> None:
        self.values: list[tuple[_Position, _Position, bool]] = []
        self.line = 0
        self._levels: list[_Level] = []
        self._anchors: dict[str, tuple[int, int]] = {}

    def take(self, event: yaml.Event) -> None:
        """Follow the parser by one event."""
        self.line = _position(event.end_mark)[0]
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            mapping = isinstance(event, yaml.MappingStartEvent)
            level = _Level(mapping, self._hidden(), event.anchor or "", len(self.values))
            self._levels.append(level)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            level = self._levels.pop()
            self._anchors[level.anchor] = (level.first, len(self.values))
            self._node_ended()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            if self._hidden():
                for index in range(*self._anchors.get(event.anchor or "", (0, 0))):
                    self.values[index] = (*self.values[index][:2], True)
            self._node_ended()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        level = self._levels[-1] if self._levels else None
        if level is not None and level.mapping and level.key_next:
            level.secret = _names_secret(event.value)
        if level is None or not level.mapping or not level.key_next or level.hidden:
            begin, end = _position(event.start_mark), _position(event.end_mark)
            harmless = bool(re.fullmatch(REFERENCE, event.value))
            self._anchors[event.anchor or ""] = (len(self.values), len(self.values) + 1)
            self.values.append((begin, end, self._hidden() and not harmless))
        self._node_ended()

    def _hidden(self) -> bool:
        """True where the value that comes now belongs to a secret's name, or lies below one."""
        level = self._levels[-1] if self._levels else None
        return level is not None and (level.hidden or (not level.key_next and level.secret))

    def is_inside_secret(self) -> bool:
        """True where a secret's value is open, or comes next."""
        return self._hidden() or any(level.hidden for level in self._levels)

    def _node_ended(self) -> None:
        if self._levels and self._levels[-1].mapping:
            self._levels[-1].key_next = not self._levels[-1].key_next


@dataclass
class _Level:
    """A mapping or list that is open; `secret` is about the key whose value comes now."""

    mapping: bool
    hidden: bool
    anchor: str
    first: int
    secret: bool = False
    key_next: bool = True


class _Mark(Protocol):
    """A place in a text, of the parser in C or of the one in Python."""

    line: int
    column: int


def _position(mark: _Mark | None) -> _Position:
    return (mark.line, mark.column) if mark else (0, 0)


def _by_name(content: str) -> list[tuple[int, int]]:
    """`NAME: value` and `NAME=value` within a line, comments and broken YAML included."""
    return [
        match.span("value")
        for match in _VALUE.finditer(content)
        if _names_secret(match["name"]) and not re.match(r"[\"']?(env|file|cmd):", match["value"])
    ]


def _replace(
    content: str, spans: list[tuple[int, int]], at: int, sign: str = "\ue000"
) -> tuple[str, int]:
    """`content` with `sign` for each span, and where the place `at` is now."""
    parts: list[str] = []
    done, column = 0, -1
    for begin, end in sorted(spans):
        if end <= done:
            continue
        begin = max(begin, done)
        if column < 0 and at < begin:
            column = sum(map(len, parts)) + at - done
        parts.append(content[done:begin])
        if column < 0 and at < end:
            column = sum(map(len, parts))
        parts.append(sign)
        done = end
    if column < 0:
        column = sum(map(len, parts)) + at - done
    return "".join([*parts, content[done:]]), column


def _redacted(text: str, column: int) -> tuple[str, int]:
    """What looks like a secret is masked too, wherever it stands; references are none."""
    references = [match.span() for match in _SAFE_REFERENCE.finditer(text)]
    kept = [text[begin:end] for begin, end in references]
    text, column = _replace(text, references, column, _KEPT)
    safe = Redactor().text(text).replace(MASK, _HIDDEN)
    pairs = enumerate(zip(text, safe, strict=False))
    start = next((index for index, (a, b) in pairs if a != b), min(len(text), len(safe)))
    if column > start:
        column = min(max(start, column + len(safe) - len(text)), len(safe))
    parts = []
    for sign in safe:
        parts.append(MASK if sign == _HIDDEN else kept.pop(0) if sign == _KEPT and kept else sign)
    return "".join(parts), sum(map(len, parts[:column]))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
