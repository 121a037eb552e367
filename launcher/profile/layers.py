"""From files to one tree: `extends`, the profile, `--overlay`.

Maps merge, lists replace, `null` deletes what lies below it. Every value keeps the place it came
from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from launcher.errors import Problem
from launcher.profile import nodes, source
from launcher.profile.model import Origin
from launcher.profile.nodes import Entry, Mapping, Scalar, Sequence, SourceError
from launcher.profile.profile_files import find_base, nearest_file
from launcher.profile.unknown_keys import RENAMED
from launcher.profile.variables import escaped

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
            tree = with_names_of_today(escaped(tree))
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


def with_names_of_today(tree: Mapping) -> Mapping:
    """The resolved profile of an instance that an earlier release started, with today's keys."""
    for path, name in RENAMED.items():
        above, _, former = path.rpartition(".")
        section = tree.entries.get(above)
        if section is None or not isinstance(section.value, Mapping):
            continue
        entries = dict(section.value.entries)
        if former in entries:
            entry = entries.pop(former)
            entries.setdefault(name, entry)
            inner = replace(section.value, entries=entries)
            tree = replace(tree, entries={**tree.entries, above: replace(section, value=inner)})
    return tree
