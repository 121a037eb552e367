"""`--set KEY.PATH=VALUE`: one more layer over a profile's tree."""

from __future__ import annotations

from dataclasses import replace

from launcher.errors import Problem
from launcher.profile import nodes, source
from launcher.profile.layers import merge
from launcher.profile.model import Origin
from launcher.profile.nodes import Entry, Mapping, Node, Scalar, Sequence, SourceError


def set_value(tree: Mapping, option: str) -> Mapping:
    """`tree` with the value of `--set KEY.PATH=VALUE`.

    Where several words of the path are one key of the tree, they are taken as that key.

    Raises:
        SourceError: the option or its YAML is wrong.
    """
    parts, value = _split(option)
    path = _joined(tree, parts)
    origin = Origin("--set")
    where = f"--set {'.'.join(path)}"
    try:
        text = source.decode(value.encode("utf-8", "surrogateescape"), where)
        node, problems = nodes.parse(text, where)
    except SourceError as stopped:
        raise SourceError(*(replace(p, where=where) for p in stopped.problems)) from stopped
    if problems:
        raise SourceError(*(replace(p, where=where) for p in problems))
    node = _placed(node, origin) if node is not None else Scalar("", True, origin)
    added = Mapping({path[-1]: Entry(origin, node)}, origin)
    for key in reversed(path[:-1]):
        added = Mapping({key: Entry(origin, added)}, origin)
    return merge(tree, added)


def _joined(tree: Mapping, parts: list[str]) -> list[str]:
    """The keys that `parts` name: the longest that exist in `tree`, else one per part."""
    at: Node | None = tree
    path: list[str] = []
    while parts:
        taken = 1
        if isinstance(at, Mapping):
            long = (n for n in range(len(parts), 1, -1) if ".".join(parts[:n]) in at.entries)
            taken = next(long, 1)
        path.append(".".join(parts[:taken]))
        entry = at.entries.get(path[-1]) if isinstance(at, Mapping) else None
        at = entry.value if entry else None
        parts = parts[taken:]
    return path


def _placed(node: Node, origin: Origin) -> Node:
    if isinstance(node, Mapping):
        entries = {k: Entry(origin, _placed(e.value, origin)) for k, e in node.entries.items()}
        return replace(node, entries=entries, origin=origin)
    if isinstance(node, Sequence):
        return replace(node, items=tuple(_placed(i, origin) for i in node.items), origin=origin)
    return replace(node, origin=origin)


def _split(option: str) -> tuple[list[str], str]:
    """The words of the key and the text of the value."""
    parts: list[str] = [""]
    quote = ""
    for index, character in enumerate(option):
        if quote:
            if character == quote:
                quote = ""
            else:
                parts[-1] += character
        elif character in "\"'":
            quote = character
        elif character == ".":
            parts.append("")
        elif character == "=":
            if not all(parts):
                break
            return parts, option[index + 1 :]
        else:
            parts[-1] += character
    option_name = option.partition("=")[0]
    raise SourceError(
        Problem(
            "bad-set",
            f"`{option_name}` is not KEY.PATH=VALUE",
            "--set",
            "such as --set max-model-len=8192 or --set ports.api=8180; quote a key with dots: "
            "engine-args.'a.b'=1",
        )
    )
