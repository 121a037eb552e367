"""`events.jsonl`: what happened to an instance, bounded however long it lives.

A file that has reached its size becomes `events.jsonl.1`, in front of which stays what readers need
of the one before: starts, ends, failures and who asked for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from launcher import files
from launcher.json_values import JsonObject, JsonValue, is_list

LARGEST = 512 * 1024
"""Bytes of one file."""
KEPT = 128 * 1024
"""Bytes of what is kept of older files."""
MILESTONES = ("state", "stop", "restart", "cleaned", "failure")
"""Events that `diagnose`, `status` and the history of starts are told from."""
LONGEST_TEXT = 8 * 1024
"""Characters of one text in an event; an engine's line may have more."""
LONGEST_LINE = 64 * 1024
"""Bytes from which an event's texts are shortened."""


class Events:
    """The history of an instance; one writer appends to it."""

    def __init__(self, folder: Path) -> None:
        """Continue the history in `folder`; where that cannot be opened, it is tried again."""
        self._path = folder / "events.jsonl"
        self._descriptor: int | None = None
        self._next_size = LARGEST
        self.lost: int = 0
        """Events that could not be written (disk full); they still reached the listeners."""
        self._torn = False
        self._open()

    def _open(self) -> bool:
        if self._descriptor is None:
            with contextlib.suppress(OSError):
                self._descriptor = files.open_append(self._path)
        return self._descriptor is not None

    def append(self, kind: str, /, **fields: JsonValue) -> JsonObject:
        """Write one event and return it; a full disk loses the line, never the keeper."""
        event: JsonObject = {"time": round(time.time(), 3), "event": kind, **fields}
        line = _line(event)
        if len(line) > LONGEST_LINE:
            event = {key: _shortened(value) for key, value in event.items()}
            line = _line(event)
        if not self._open() or self._descriptor is None:
            self.lost += 1
            return event
        self._make_room(len(line))
        if self._torn:
            line = b"\n" + line
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            written = 0
        if written < len(line):
            self.lost += 1
        if written:
            self._torn = written < len(line)
        return event

    def _make_room(self, more: int) -> None:
        """Rotate where the file is full; where that fails, it is tried again a while later."""
        if self._descriptor is None:
            return
        try:
            size = os.fstat(self._descriptor).st_size
            if not size or size + more <= self._next_size:
                return
            older = self._path.with_name(f"{self._path.name}.1")
            text = _milestones(_read(older)) + _content(self._descriptor)
            files.write_atomically(older, text)
            files.write_atomically(self._path, "")
            fresh = files.open_append(self._path)
        except OSError:
            # Of a disk that takes no new file the old one is written on, up to twice its size.
            self._next_size += LARGEST // 8
            if self._next_size > 2 * LARGEST:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, 0)
                self._next_size = LARGEST
            return
        os.close(self._descriptor)
        self._descriptor, self._torn, self._next_size = fresh, False, LARGEST

    def in_place(self) -> bool:
        """True while the file that readers find is the one that is appended to."""
        return self._descriptor is not None and files.is_same(self._path, self._descriptor)

    def restore(self) -> None:
        """Make the file anew after it was removed or replaced, with what it held.

        Where it was only moved to the name of the older history, that is still read.

        Raises:
            OSError: that is not possible now.
        """
        old = self._descriptor
        older, _ = histories(self._path.parent)
        moved = old is not None and files.is_same(older, old)
        files.write_atomically(self._path, "" if old is None or moved else _content(old))
        self._descriptor = files.open_append(self._path)
        if old is not None:
            os.close(old)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_events(folder: Path) -> list[JsonObject]:
    """Every event that can be read; a torn last line (crash, full disk) is left out."""
    return [event for path in histories(folder) for event in _parsed(read_lines(path))]


def read_lines(path: Path) -> list[str]:
    """The lines of one file of a history; none where it cannot be read."""
    # Not `splitlines`: a text may hold U+2028 or U+0085, which JSON does not escape.
    return _read(path).split("\n")


def parse_line(line: str) -> JsonObject | None:
    """The event in a line; None where it is torn or none."""
    return next(iter(_parsed([line])), None)


def histories(folder: Path) -> tuple[Path, Path]:
    """The files of the history in `folder`, older first; either may not be there."""
    return folder / "events.jsonl.1", folder / "events.jsonl"


def _read(path: Path) -> str:
    try:
        return files.read_text(path, errors="replace")
    except OSError:
        return ""


def _content(descriptor: int) -> str:
    return os.pread(descriptor, 4 * LARGEST, 0).decode(errors="replace")


def _parsed(lines: Iterable[str]) -> Iterable[JsonObject]:
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def _milestones(text: str) -> str:
    """The newest lines of a history that tell of starts and ends, within `KEPT` bytes."""
    kept: list[str] = []
    size = 0
    for line in (f"{one}\n" for one in reversed(text.split("\n")) if one):
        if not any(event.get("event") in MILESTONES for event in _parsed([line])):
            continue
        size += len(line.encode(errors="replace"))
        if size > KEPT:
            break
        kept.append(line)
    return "".join(reversed(kept))


def _line(event: JsonObject) -> bytes:
    text = json.dumps(event, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")


def _shortened(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + " ..."
    if isinstance(value, Mapping):
        return {key: _shortened(one) for key, one in value.items()}
    if is_list(value):
        return [_shortened(one) for one in value[:100]]
    return value
