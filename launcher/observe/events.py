"""The history of an instance as its keepers wrote it, with what comes while a command follows."""

from __future__ import annotations

import collections
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from launcher.codec import written
from launcher.errors import UsageError
from launcher.instance.store import InstanceDir
from launcher.instance.tail import Tail
from launcher.json_values import JsonObject, JsonValue, is_list, number_at, text_at
from launcher.keeper.events import histories, parse_line, read_events, read_lines
from launcher.nearest import did_you_mean
from launcher.observe.changes import Changes
from launcher.redact import Redactor

KINDS = (
    "state", "phase", "probe", "failure", "liveness", "restart", "stop", "incident",
    "notification", "warning", "signal", "kill", "cleaned",
)  # fmt: skip
"""What keepers of this release write; another release's may have others."""
REMEMBERED = 50_000
"""Lines that are known to have been shown: more than the files of two histories hold."""
DEPTH = 20
"""Levels of an event in which secrets are looked for; what is deeper is left out."""


@dataclass(frozen=True)
class ShownEvents:
    """`events`: how many were shown; with `--json` each is a line of its own before this."""

    events: int
    since: float | None = field(default=None, metadata=written(omit=True))
    kinds: tuple[str, ...] = field(default=(), metadata=written(omit=True))


@dataclass(frozen=True)
class Selection:
    """Which events: from `since` (Unix seconds) on, of these kinds (none: all), the last `last`."""

    since: float | None = None
    kinds: tuple[str, ...] = ()
    last: int | None = None

    def takes(self, event: JsonObject) -> bool:
        """True where the event is one of them, whatever `last` says."""
        if self.kinds and text_at(event, "event") not in self.kinds:
            return False
        return self.since is None or (number_at(event, "time") or 0.0) >= self.since


def select(
    instance: InstanceDir, since: float | None, kinds: Iterable[str], last: int | None
) -> Selection:
    """What the options of the command line ask for; `since` is in seconds before now.

    Raises:
        UsageError: no event of this release or of this instance is of such a kind.
    """
    chosen = tuple(dict.fromkeys(one.strip() for kind in kinds for one in kind.split(",")))
    known_kinds = list(KINDS)
    if any(kind not in known_kinds for kind in chosen):
        known_kinds += sorted(
            {text_at(event, "event") for event in _history(instance)} - {*KINDS, ""}
        )
    for kind in chosen:
        if kind not in known_kinds:
            raise UsageError.of(
                "unknown-event-kind",
                f"no event is of the kind {kind!r}{did_you_mean(kind, known_kinds)}",
                "--kind", f"one of: {', '.join(known_kinds)}",
            )  # fmt: skip
    return Selection(None if since is None else time.time() - since, chosen, last)


def read(instance: InstanceDir, selection: Selection, redactor: Redactor) -> list[JsonObject]:
    """The events so far, those of the run before included, oldest first, without secrets."""
    stream = Stream(instance)
    try:
        return list(_last(stream.new(), selection, redactor))
    finally:
        stream.close()


def follow(
    instance: InstanceDir, selection: Selection, redactor: Redactor, wake: Collection[int] = ()
) -> Iterator[JsonObject]:
    """The events so far, and then each that comes, for as long as the caller takes them.

    A rotation, the end of the instance and a new start do not end it. `wake` are descriptors
    whose end ends it.

    Raises:
        BrokenPipeError: one of `wake` has lost its other end.
    """
    changes, stream = Changes(instance, wake), Stream(instance)
    try:
        changes.arm()
        yield from _last(stream.new(), selection, redactor)
        while True:
            changes.wait()
            changes.arm()
            for event in stream.new():
                if selection.takes(event):
                    yield without_secrets(event, redactor)
    finally:
        changes.close()
        stream.close()


def without_secrets(event: JsonObject, redactor: Redactor) -> JsonObject:
    """The event with known and probable secrets taken out of its texts."""
    return {key: _clean(value, redactor, DEPTH) for key, value in event.items()}


def _clean(value: JsonValue, redactor: Redactor, depth: int) -> JsonValue:
    if isinstance(value, str):
        return redactor.text(value)
    if depth and isinstance(value, Mapping):
        return {key: _clean(one, redactor, depth - 1) for key, one in value.items()}
    if depth and is_list(value):
        return [_clean(one, redactor, depth - 1) for one in value]
    return None if isinstance(value, Mapping) or is_list(value) else value


def _last(
    events: Iterable[JsonObject], selection: Selection, redactor: Redactor
) -> Iterator[JsonObject]:
    taken: Iterable[JsonObject] = (event for event in events if selection.takes(event))
    if selection.last is not None:
        taken = collections.deque(taken, maxlen=selection.last)
    return (without_secrets(event, redactor) for event in taken)


def _history(instance: InstanceDir) -> Iterator[JsonObject]:
    yield from read_events(instance.logs / "previous")
    yield from read_events(instance.folder)


class Stream:
    """Every event once, in the order in which they were written.

    A keeper copies lines to the older file when it rotates, and makes the file anew, with what it
    held, where it was removed: a line that was shown is known by its text, time included.
    """

    def __init__(self, instance: InstanceDir) -> None:
        """Begin with the history so far."""
        self._instance = instance
        self._older, newest = histories(instance.folder)
        # Rotated once or more between two looks: what was between is in the older file, which is
        # complete before the newer one is begun.
        self._tail = Tail(newest, lambda: read_lines(self._older))
        self._shown: set[int] = set()
        self._order: collections.deque[int] = collections.deque()
        self._begun = False

    def new(self) -> list[JsonObject]:
        """The events that came since the last call; at first those of the run before as well."""
        lines: list[str] = []
        if not self._begun:
            for path in (*histories(self._instance.logs / "previous"), self._older):
                lines += read_lines(path)
            self._begun = True
        lines += self._tail.new()
        events = (parse_line(line) for line in lines if self._is_new(line))
        return [event for event in events if event is not None]

    def close(self) -> None:
        """Close the file."""
        self._tail.close()

    def _is_new(self, line: str) -> bool:
        key = hash(line)
        if not line.strip() or key in self._shown:
            return False
        self._shown.add(key)
        self._order.append(key)
        if len(self._order) > REMEMBERED:
            self._shown.discard(self._order.popleft())
        return True
