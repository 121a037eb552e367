"""YAML as a tree in which every key and value knows its place.

PyYAML's own loader keeps the last of two equal keys, turns `2.10` into 2.1 and `on` into true, and
follows aliases without end. So the tree is built here from the parser's events, of its SafeLoader
family: scalars stay the text that was written, and what they mean is decided by the schema's type
(`launcher.profile.scalars`), or by YAML 1.2's rules where the schema has no type.

Anchors and aliases are allowed up to a limit of nodes, merge keys (`<<`) are understood, tags are
refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import yaml

from launcher.errors import Problem
from launcher.profile.model import Origin

MAX_BYTES = 1024 * 1024
"""A profile's largest size; the largest shipped one has 2 KiB."""
MAX_NODES = 10_000
"""Nodes of a profile with every alias written out: an alias bomb has billions."""
MAX_DEPTH = 32

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SourceError(Exception):
    """The text cannot be read any further; carries what was found up to there."""

    def __init__(self, *problems: Problem) -> None:
        """Keep the problems."""
        self.problems = problems
        super().__init__("; ".join(p.text() for p in problems))


@dataclass(frozen=True)
class Scalar:
    """A value as it was written.

    `plain`: not quoted, so that `8` may be a number. `expanded`: a variable was put in. `broken`:
    one could not be put in, which was said; nothing more is to be said of the value.
    """

    text: str
    plain: bool
    origin: Origin
    expanded: bool = False
    broken: bool = False
    size: int = 1
    depth: int = 0

    @property
    def is_null(self) -> bool:
        """True for `null`, `~` and nothing at all, unless quoted or out of a variable."""
        return self.plain and not self.expanded and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class Entry:
    """A key's place and its value."""

    origin: Origin
    value: Node


@dataclass(frozen=True)
class Mapping:
    """A mapping; keys are unique."""

    entries: dict[str, Entry]
    origin: Origin
    size: int = 1
    depth: int = 1


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    origin: Origin
    size: int = 1
    depth: int = 1


Node = Scalar | Mapping | Sequence


def parse(text: str, source: str) -> tuple[Node | None, list[Problem]]:
    """The tree of `text` and what is wrong with it; None for a text without a value.

    `source` names the text in places.

    Raises:
        SourceError: the text is not YAML, or more of it than we take.
    """
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise SourceError(*builder.problems, *_syntax(error, text, source)) from error
    except yaml.YAMLError as error:
        problem = Problem("yaml", f"not YAML: {error}".split("\n")[0], source)
        raise SourceError(*builder.problems, problem) from error
    return builder.root, builder.problems


def _syntax(error: yaml.MarkedYAMLError, text: str, source: str) -> Iterator[Problem]:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.split("\n")
    here = lines[line] if line < len(lines) else ""
    indent = here[: len(here) - len(here.lstrip())]
    if "\t" in indent or here[column : column + 1] == "\t":
        for number, content in enumerate(lines):
            at = content[: len(content) - len(content.lstrip())].find("\t")
            at = column if at < 0 and number == line else at
            if at >= 0:
                where = f"{source}:{number + 1}:{at + 1}"
                yield Problem("tab", "a tab cannot indent YAML", where, "indent with spaces")
        return
    reason = (error.problem or "not YAML").strip()
    if "nesting depth" in reason:
        # libyaml 0.2.6 counts too, as it reads ahead, and gives up before our count has begun.
        where = f"{source}:{line + 1}:{column + 1}"
        yield Problem("too-deep", f"nested deeper than {MAX_DEPTH} levels", where)
        return
    context = f" ({error.context.strip()})" if error.context else ""
    remedy = None
    if "mapping values are not allowed" in reason:
        remedy = "quote a value that contains `: `, or fix the indentation"
    elif "did not find expected key" in reason or "block end" in reason:
        remedy = "this line is indented differently from those of the same mapping"
    yield Problem(
        "yaml", f"not YAML: {reason}{context}", f"{source}:{line + 1}:{column + 1}", remedy
    )


@dataclass
class _Open:
    """A collection whose end has not come yet."""

    origin: Origin
    is_map: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list)


class _Builder:
    """Builds the tree from events, without recursion, so that depth is a number to check."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._size = 0

    def take(self, event: yaml.Event) -> None:
        origin = self._origin_of(event)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._stop(
                    "several-documents",
                    "a profile is one document, here begins another",
                    origin,
                    "split the file; `extends` and `--overlay` join profiles",
                )
        elif isinstance(event, yaml.ScalarEvent):
            self._tag(event, origin)
            plain = event.style in (None, "")
            if any("\ud800" <= c <= "\udfff" for c in event.value):
                # The parser in Python lets an escape through that the one in C refuses.
                self._stop("yaml", "half of a surrogate pair is not a character", origin)
            self._add(Scalar(event.value, plain, origin), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(str(event.anchor), origin), None)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._tag(event, origin)
            if len(self._stack) >= MAX_DEPTH:
                self._stop("too-deep", f"nested deeper than {MAX_DEPTH} levels", origin)
            is_map = isinstance(event, yaml.MappingStartEvent)
            self._stack.append(_Open(origin, is_map, event.anchor))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            done = self._stack.pop()
            self._add(self._mapping(done) if done.is_map else _sequence(done), done.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._size += 1 if isinstance(node, Scalar) else 0
        if self._size > MAX_NODES:
            self._stop("too-large", f"more than {MAX_NODES} values", node.origin)
        if self._stack:
            self._stack[-1].items.append(node)
        else:
            self.root = node

    def _aliased(self, name: str, origin: Origin) -> Node:
        if any(open_.anchor == name for open_ in self._stack):
            self._stop("circular-alias", f"*{name} stands inside of what it names", origin)
        if name not in self._anchors:
            self._stop(
                "unknown-alias",
                f"*{name} names nothing above it",
                origin,
                f"write &{name} at the value, or quote text that begins with *",
            )
        node = self._anchors[name]
        self._size += node.size
        if self._size > MAX_NODES:
            self._stop(
                "alias-bomb",
                f"with *{name} written out the profile has more than {MAX_NODES} values",
                origin,
            )
        if len(self._stack) + node.depth > MAX_DEPTH:
            self._stop("too-deep", f"*{name} nests deeper than {MAX_DEPTH} levels", origin)
        return replace(node, origin=origin) if isinstance(node, Scalar) else node

    def _mapping(self, done: _Open) -> Mapping:
        entries: dict[str, Entry] = {}
        inherited: list[Node] = []
        for key, value in zip(done.items[::2], done.items[1::2], strict=True):
            if not isinstance(key, Scalar) or key.is_null:
                self._say(
                    "bad-key", "a key is a word, not a list, a mapping or nothing", key.origin
                )
            elif key.plain and key.text == "<<":
                inherited += value.items if isinstance(value, Sequence) else [value]
            elif key.text in entries:
                first = entries[key.text].origin
                self._say(
                    "duplicate-key",
                    f"`{key.text}` is given twice, first at {first.text()}",
                    key.origin,
                    "keep one of them",
                )
            else:
                entries[key.text] = Entry(key.origin, value)
        for node in inherited:
            if not isinstance(node, Mapping):
                self._say(
                    "bad-merge", "`<<` takes an alias of a mapping, or a list of them", node.origin
                )
                continue
            for name, entry in node.entries.items():
                entries.setdefault(name, entry)
        values = [e.value for e in entries.values()]
        return Mapping(entries, done.origin, *_extent(values))

    def _tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, origin: Origin) -> None:
        if event.tag is not None:
            self._say(
                "tag",
                f"tags such as {event.tag} are not used in profiles",
                origin,
                "quote the value to make it text",
            )

    def _origin_of(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        return Origin(self.source, line + 1, column + 1)

    def _say(self, code: str, message: str, origin: Origin, remedy: str | None = None) -> None:
        self.problems.append(Problem(code, message, origin.text(), remedy))

    def _stop(self, code: str, message: str, origin: Origin, remedy: str | None = None) -> None:
        self._say(code, message, origin, remedy)
        raise SourceError(*self.problems)


def _sequence(done: _Open) -> Sequence:
    return Sequence(tuple(done.items), done.origin, *_extent(done.items))


def _extent(values: list[Node]) -> tuple[int, int]:
    """Nodes and levels of a collection of `values`."""
    return 1 + sum(v.size for v in values), 1 + max((v.depth for v in values), default=0)
