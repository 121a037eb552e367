"""The merged tree against the schema: plain values, their places, and everything that is wrong."""

from __future__ import annotations

import difflib
import functools
from collections import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import Problem
from launcher.profile import types
from launcher.profile.kinds import KINDS
from launcher.profile.model import Origin
from launcher.profile.nodes import Entry, Mapping, Node, Scalar, Sequence
from launcher.profile.schema import Key, paths, schema
from launcher.profile.types import ScalarError

READERS: dict[str, Callable[[Scalar], Any]] = {
    "text": types.text,
    "line": types.line,
    "name": types.name,
    "version": types.version,
    "host": types.host,
    "url": types.url,
    "count": functools.partial(types.parse_integer, least=1),
    "number": functools.partial(types.parse_integer, least=0),
    "duration": types.duration,
    "size": types.size,
}
"""Types of which a single scalar says all."""

CALLED: dict[str, str] = {
    "port": "ports.api",
    "metrics-port": "ports.metrics",
    "engine-worker-queue-port": "ports.engine-worker-queue",
    "cache-queue-port": "ports.cache-queue",
    "reasoning-parser": "parsers.reasoning",
    "tool-call-parser": "parsers.tool-call",
    "model-name": "served-model-name",
    "environment": "env",
    "args": "engine-args",
    "version": "engine-version",
    "download-dir": "cache-dir",
    "timeout": "health.startup-timeout",
}
"""What people write at the top from habit, and the key that is meant."""


@dataclass
class Checker:
    """Reads a tree by the schema. `engine` is what the tree names, as written."""

    engine: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[tuple[Origin, Problem]] = field(default_factory=list)

    def read(self, tree: Mapping) -> None:
        """Fill `values`, `origins` and `problems` from the tree."""
        engine = tree.entries.get("engine")
        if engine and isinstance(engine.value, Scalar):
            self.engine = engine.value.text.strip()
        self.values = self.mapping(tree, schema(), "")

    def say(
        self, code: str, path: str, message: str, origin: Origin, remedy: str | None = None
    ) -> None:
        """Note a problem with the key at `path`."""
        where = f"--set {path}" if origin.source == "--set" else origin.text()
        self.problems.append((origin, Problem(code, f"{path}: {message}", where, remedy)))

    def entries(self, node: Mapping, path: str) -> Iterator[tuple[str, str, Entry]]:
        """Name, path and entry of keys with a value; null marks a key that was deleted."""
        for name, entry in node.entries.items():
            if not (isinstance(entry.value, Scalar) and entry.value.is_null):
                here = f"{path}.{name}" if path else name
                self.origins[here] = entry.origin
                yield name, here, entry

    def mapping(self, node: Mapping, keys: abc.Mapping[str, Key], path: str) -> dict[str, Any]:
        """The values of a mapping whose keys the schema knows."""
        values = {}
        for name, here, entry in self.entries(node, path):
            key = keys.get(name)
            if key is None:
                del self.origins[here]
                self._unknown(name, here, keys, entry.origin)
            elif not key.belongs(self.engine):
                self._misplaced(key, here, entry.origin)
            elif key.type != "files":
                value = self._value(key, here, entry.value)
                if value is not None:
                    values[name] = value
        return values

    def scalar(self, path: str, node: Node, reader: Callable[[Scalar], Any]) -> Any:
        """What `reader` makes of the node, None where it is wrong."""
        if not isinstance(node, Scalar):
            self.say(
                "wrong-type", path, f"one value is expected, this is {_kind(node)}", node.origin
            )
            return None
        if node.broken:
            return None
        try:
            return reader(node)
        except ScalarError as wrong:
            self.say(wrong.code, path, wrong.message, node.origin, wrong.remedy)
            return None

    def no_map(self, path: str, node: Node, example: str) -> None:
        """Say that a mapping is expected; the value is not repeated, it may be a secret."""
        self.say(
            "wrong-type",
            path,
            f"a mapping is expected, this is {_kind(node)}",
            node.origin,
            f"write {example}",
        )

    def _value(self, key: Key, path: str, node: Node) -> Any:
        if key.type in KINDS:
            return KINDS[key.type](self, key, path, node)
        return self.scalar(path, node, READERS[key.type])

    def _unknown(self, name: str, path: str, keys: abc.Mapping[str, Key], origin: Origin) -> None:
        spelled = name.lstrip("-").replace("_", "-").lower()
        at_top = path == name
        names = [k for k, key in keys.items() if key.belongs(self.engine)]
        near = [
            one
            for one in difflib.get_close_matches(spelled, names, n=1, cutoff=0.75)
            if _same_words(spelled, one)
        ]
        elsewhere = [p for p, _ in paths() if p.rpartition(".")[2] == spelled]
        meant = [
            *([spelled] if spelled in keys else []),
            *([CALLED[spelled]] if at_top and spelled in CALLED else []),
            *near,
            *elsewhere,
        ]
        if meant:
            remedy = f"did you mean `{meant[0]}`?"
        elif at_top:
            remedy = "a flag of the engine goes under `engine-args`"
        else:
            remedy = f"one of: {', '.join(names)}"
        self.say("unknown-key", path, "unknown key", origin, remedy)

    def _misplaced(self, key: Key, path: str, origin: Origin) -> None:
        if key.only == "hosted":
            message = f"only `engine: hosted` has it, this is {self.engine or 'no engine'}"
        else:
            message = "a hosted endpoint is run by a third party, who decides this"
        self.say("impossible-combination", path, message, origin, f"remove `{path}`")


def _same_words(one: str, second: str) -> bool:
    """False where a whole word differs: `data-parallel-size` is not a slip of `tensor-...`."""
    first_words, second_words = one.split("-"), second.split("-")
    return len(first_words) != len(second_words) or all(
        difflib.SequenceMatcher(None, a, b).ratio() >= 0.5
        for a, b in zip(first_words, second_words, strict=True)
    )


def _kind(node: Node) -> str:
    if isinstance(node, Scalar):
        return "one value"
    return "a list" if isinstance(node, Sequence) else "a mapping"
