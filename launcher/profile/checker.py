"""What reading a tree collects: the places of values, and everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from launcher.errors import Problem
from launcher.json_values import JsonValue
from launcher.profile.model import Origin
from launcher.profile.nodes import Entry, Mapping, Node, Scalar, Sequence
from launcher.profile.scalars import ScalarError

Value = TypeVar("Value")


@dataclass
class Checker:
    """Collects while a tree is read. `engine` is what the tree names, as written."""

    engine: str = ""
    values: dict[str, JsonValue] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[tuple[Origin, Problem]] = field(default_factory=list)

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

    def scalar(self, path: str, node: Node, reader: Callable[[Scalar], Value]) -> Value | None:
        """What `reader` makes of the node, None where it is wrong."""
        if not isinstance(node, Scalar):
            self.say(
                "wrong-type",
                path,
                f"one value is expected, this is {_shape_of(node)}",
                node.origin,
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
            f"a mapping is expected, this is {_shape_of(node)}",
            node.origin,
            f"write {example}",
        )


def _shape_of(node: Node) -> str:
    if isinstance(node, Scalar):
        return "one value"
    return "a list" if isinstance(node, Sequence) else "a mapping"
