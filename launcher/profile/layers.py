"""From files and options to one tree: `extends`, the profile, `--overlay`, `--set`.

Maps merge, lists replace, `null` deletes what lies below it. Every value keeps the place it came
from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from launcher import paths
from launcher.errors import Problem
from launcher.nearest import nearest
from launcher.profile import nodes, source
from launcher.profile.model import Origin
from launcher.profile.nodes import Entry, Mapping, Node, Scalar, Sequence, SourceError
from launcher.profile.variables import escaped

SUFFIXES = (".yaml", ".yml")
MAX_FILES = 50
"""Files one profile may extend, all together: three are many."""


@dataclass
class Layers:
    """Reads files into one tree and collects what is wrong with them.

    `text` is the first file's text, `sources` the files in the order in which they were opened.
    """

    problems: list[Problem] = field(default_factory=list)
    text: str = ""
    sources: list[str] = field(default_factory=list)
    _read: dict[str, Mapping | None] = field(default_factory=dict)

    def profile(
        self, path: str, overlays: Iterable[str], *, resolved: bool = False
    ) -> Mapping | None:
        """The merged tree of the profile and its overlays; None where nothing can be said of it.

        In a `resolved` profile variables were put in already; its overlays may hold new ones.
        """
        tree = self._with_bases(path, ())
        if tree is not None and resolved:
            tree = escaped(tree)
        for overlay in overlays:
            layer = self._file(overlay)
            if layer is None:
                continue
            if "extends" in layer.entries:
                self._say(
                    "extends-in-overlay",
                    "an overlay cannot have `extends`",
                    layer.entries["extends"].origin,
                    "give both files with --overlay, the base first",
                )
            tree = merge(tree, layer) if tree is not None else None
        return tree

    def _with_bases(self, path: str, opened: tuple[str, ...]) -> Mapping | None:
        real = os.path.realpath(path)
        if real not in self._read:
            self._read[real] = self._merged(path, (*opened, real))
        return self._read[real]

    def _merged(self, path: str, here: tuple[str, ...]) -> Mapping | None:
        tree = self._file(path)
        if tree is None:
            return None
        merged: Mapping | None = None
        for name in self._bases(tree):
            base = self._base(name, path, here)
            if base is not None:
                merged = base if merged is None else merge(merged, base)
        tree = replace(tree, entries={k: e for k, e in tree.entries.items() if k != "extends"})
        return tree if merged is None else merge(merged, tree)

    def _base(self, name: Scalar, path: str, opened: tuple[str, ...]) -> Mapping | None:
        base = find_base(name.text, os.path.dirname(path))
        if "${" in name.text:
            self._say(
                "bad-extends", "`extends` comes before variables and cannot use them", name.origin
            )
        elif base is None:
            near = nearest_file(name.text, os.path.dirname(path))
            self._say(
                "missing-extends",
                f"extends: no profile is named {name.text!r}",
                name.origin,
                f"did you mean {near!r}?"
                if near
                else "name a file relative to this one, or one of `ernie-deploy profiles list`",
            )
        elif os.path.realpath(base) in opened:
            chain = [*opened[opened.index(os.path.realpath(base)) :], base]
            names = " -> ".join(os.path.basename(p) for p in chain)
            self._say("circular-extends", f"extends goes round in a circle: {names}", name.origin)
        elif len(self.sources) >= MAX_FILES:
            if not any(p.code == "too-many-files" for p in self.problems):
                self._say(
                    "too-many-files", f"extends reads more than {MAX_FILES} files", name.origin
                )
        else:
            return self._with_bases(base, opened)
        return None

    def _bases(self, tree: Mapping) -> list[Scalar]:
        entry = tree.entries.get("extends")
        if entry is None or (isinstance(entry.value, Scalar) and entry.value.is_null):
            return []
        items = entry.value.items if isinstance(entry.value, Sequence) else (entry.value,)
        bases = []
        for item in items:
            if isinstance(item, Scalar) and item.text.strip() and not item.is_null:
                bases.append(item)
            else:
                self._say(
                    "wrong-type",
                    "extends: a file's name, or a list of them, is expected",
                    item.origin,
                )
        return bases

    def _file(self, path: str) -> Mapping | None:
        first = not self.sources
        self.sources.append(path)
        try:
            text = source.read(path, path)
            if first:
                self.text = text
            root, problems = nodes.parse(text, path)
        except SourceError as stopped:
            self._add(stopped.problems)
            return None
        self._add(problems)
        start = Origin(path, 1, 1)
        if root is None or (isinstance(root, Scalar) and root.is_null):
            self._say(
                "empty-profile",
                "the file says nothing",
                start,
                "`ernie-deploy profiles init` writes one to start from",
            )
            return None
        if not isinstance(root, Mapping):
            self._say(
                "not-a-mapping",
                "a profile is a mapping of keys to values, this is "
                + ("a list" if isinstance(root, Sequence) else "text"),
                root.origin,
            )
            return None
        return root

    def _say(self, code: str, message: str, origin: Origin, remedy: str | None = None) -> None:
        self._add([Problem(code, message, origin.text(), remedy)])

    def _add(self, problems: Iterable[Problem]) -> None:
        self.problems += problems


def merge(below: Mapping, above: Mapping) -> Mapping:
    """`above` laid over `below`: maps merge, lists and scalars replace.

    A null stays in the tree as the mark of a deleted key: a reader of the merged tree passes
    over it. Taking the key out here would forget the deletion in the next merge.
    """
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        old, new = entries.get(key), entry.value
        if old is not None and isinstance(old.value, Mapping) and isinstance(new, Mapping):
            new = merge(old.value, new)
        entries[key] = Entry(entry.origin, new)
    return replace(below, entries=entries, origin=above.origin)


def shipped_profiles() -> dict[str, str]:
    """File name to path of every profile that ships."""
    folder = paths.shipped("profiles")
    all_paths = sorted(folder.glob("*.yaml")) + sorted((folder / "hosted").glob("*.yaml"))
    return {p.relative_to(folder).as_posix(): str(p) for p in all_paths}


def find_base(name: str, folder: str) -> str | None:
    """The file that `extends: name` means in a file of `folder`."""
    expanded = os.path.expanduser(name)
    near = expanded if os.path.isabs(expanded) else os.path.join(folder, expanded)
    return _first_file(near) or _shipped(name)


def find_profile(path: str) -> str:
    """`path`, or the shipped profile of that name if the file does not exist here.

    Raises:
        SourceError: neither exists; names the nearest.
    """
    expanded = os.path.expanduser(path)
    if os.path.exists(expanded):
        return expanded
    shipped = _shipped(path)
    if shipped is not None:
        return shipped
    near = nearest_file(expanded, "")
    raise SourceError(
        Problem(
            "missing-profile",
            f"file not found: {path}",
            path,
            f"did you mean {near}?" if near else "`ernie-deploy profiles list` shows what ships",
        )
    )


def nearest_file(name: str, folder: str) -> str | None:
    """The file whose name looks most like `name`: beside it (from `folder`), or shipped."""
    head, tail = os.path.split(name)
    try:
        beside = [f for f in os.listdir(os.path.join(folder, head) or ".") if f.endswith(SUFFIXES)]
    except (OSError, ValueError):
        beside = []
    file_name = tail if tail.endswith(SUFFIXES) else f"{tail}.yaml"
    near = nearest(file_name, [*beside, *shipped_profiles()], cutoff=0.7)
    return os.path.join(head, near) if near in beside and near is not None else near


def _shipped(name: str) -> str | None:
    if os.path.isabs(name) or name.startswith((".", "~")):
        return None
    # `profiles/NAME` is how it is called in a checkout, whose README is read elsewhere too.
    return _first_file(str(paths.shipped("profiles", name.removeprefix("profiles/"))))


def _first_file(path: str) -> str | None:
    if "\0" in path:
        return None
    return next((p for p in (path, *(path + s for s in SUFFIXES)) if os.path.isfile(p)), None)


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
