"""`logs`: an instance's logs, one source or all, secrets taken out."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from launcher.codec import written
from launcher.errors import DeployError, UsageError
from launcher.instance.store import InstanceDir, view
from launcher.instance.tail import LONGEST, Tail
from launcher.lifecycle import LIVE
from launcher.log_records import LongLines, Piece, parse_record
from launcher.plain import plain
from launcher.profile.secrets import resolve
from launcher.redact import Redactor


@dataclass(frozen=True)
class Logs:
    """`logs`: of `source`, how many lines were shown; `text` with `--json`; or the sources."""

    source: str | None = field(default=None, metadata=written(omit=True))
    lines: int | None = field(default=None, metadata=written(omit=True))
    text: tuple[str, ...] | None = field(default=None, metadata=written(omit=True))
    sources: Mapping[str, str] | None = field(default=None, metadata=written(omit=True))


RENAMED = 5
"""How often a log's files are opened again because they were rotated meanwhile."""
FOLLOW_POLL = 0.2
"""Seconds between two looks at a followed file: a person reads it, and any filesystem can hold it
(inotify tells nothing of a file changed by another host)."""


def sources(instance: InstanceDir) -> dict[str, Path]:
    """Every log by the name `--source` takes: engine, keeper, events, and the engine's own."""
    named = {
        "engine": instance.engine_log,
        "keeper": instance.logs / "keeper.log",
        "events": instance.folder / "events.jsonl",
    }
    own = instance.logs / "engine"
    if own.is_dir():
        every = sorted(own.rglob("*"))
        # FastDeploy's NAME.log is a link to NAME.log.DATE: one file, under the name people know.
        # (No Path.resolve: before Python 3.13 it raises for a link to itself.)
        linked = {os.path.realpath(path) for path in every if path.is_symlink()}
        for path in every:
            again = not path.is_symlink() and os.path.realpath(path) in linked
            if path.is_file() and not again and path.name not in named:
                named[str(path.relative_to(own))] = path
    return named


def redactor(instance: InstanceDir) -> Redactor:
    """Takes out the secrets of the plan that can be resolved here, and what looks like others."""
    return Redactor(secret_values(instance))


def secret_values(instance: InstanceDir) -> tuple[str, ...]:
    """The secrets of the plan that can be resolved here."""
    values: list[str] = []
    try:
        plan = instance.plan()
    except DeployError:
        return ()
    references = (value for target in plan.notify for value in target.values)
    for reference in (*plan.secrets.values(), *references):
        # A `cmd:` may ask a person; showing a log must not.
        if not reference.startswith(("env:", "file:")):
            continue
        try:
            values.append(resolve(reference))
        except DeployError:
            continue
    return tuple(values)


def choose(instance: InstanceDir, source: str) -> Path:
    """The file of a source.

    Raises:
        UsageError: the source does not exist; names those that do.
    """
    by_source = sources(instance)
    if source not in by_source:
        raise UsageError.of(
            "unknown-source", f"{instance.name} has no log {source!r}", None,
            f"one of: {', '.join(by_source)}",
        )  # fmt: skip
    return by_source[source]


def lines(
    instance: InstanceDir, source: str, *, last: int | None, times: bool, redactor: Redactor
) -> Iterator[str]:
    """The lines of a source from its oldest rotated file on, or its last `last` ones."""
    for _, line in stamped_lines(instance, source, last=last, times=times, redactor=redactor):
        yield line


def stamped_lines(
    instance: InstanceDir, source: str, *, last: int | None, times: bool, redactor: Redactor
) -> Iterator[tuple[str, str]]:
    """As `lines`, each with its time as the keeper wrote it, "" where the source has none."""
    with contextlib.ExitStack() as stack:
        files = _open_all(choose(instance, source), stack)
        raw_lines = _whole(_pieces(files), redactor)
        for line in raw_lines if last is None else collections.deque(raw_lines, maxlen=last):
            record = parse_record(line)
            yield (record[0] if record is not None else ""), _format(line, times, redactor)


def follow(
    instance: InstanceDir, source: str, *, last: int, times: bool, redactor: Redactor,
    show: Callable[[str], None],
) -> None:  # fmt: skip
    """Show the last lines and then whatever comes, until the instance has ended."""
    newest = Newest(instance, source, last=last, times=times, redactor=redactor)
    while True:
        live = view(instance)[0] in LIVE
        for line in newest.lines(final=not live):
            show(line)
        if not live:
            return
        time.sleep(FOLLOW_POLL)


class Newest:
    """The last lines of a source, and then, at each look, what came since."""

    def __init__(
        self, instance: InstanceDir, source: str, *, last: int, times: bool, redactor: Redactor
    ) -> None:
        """Begin with the last `last` lines.

        Raises:
            UsageError: the source does not exist; names those that do.
        """
        self._path = choose(instance, source)
        self._tail = Tail(self._path)
        self._last: int | None = last
        self._times, self._redactor = times, redactor
        self._long_lines = LongLines(redactor)

    def lines(self, *, final: bool = False) -> Iterator[str]:
        """What came since the last look; with `final` also a line that has no end."""
        raw_lines: Iterable[str] = self._new(final)
        if self._last is not None:
            raw_lines = collections.deque(raw_lines, maxlen=self._last)
            self._last = None
        for raw in raw_lines:
            yield _format(raw, self._times, self._redactor)

    def _new(self, final: bool) -> Iterator[str]:
        if self._last is not None:
            # Opened first: nothing is missed, nor shown twice, if it is rotated meanwhile.
            self._tail.open()
            with contextlib.ExitStack() as stack:
                files = _open_all(self._path, stack)
                older = itertools.takewhile(self._is_older, files)
                yield from self._long_lines.read(_pieces(older))
        yield from self._long_lines.read(self._tail.pieces(final=final))
        if final:
            yield from self._long_lines.finish()

    def _is_older(self, file: BinaryIO) -> bool:
        return not self._tail.is_reading(file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._tail.close()


def _rotated(path: Path) -> list[Path]:
    numbered = []
    for candidate in path.parent.glob(f"{path.name}.*"):
        suffix = candidate.name.rpartition(".")[2]
        if suffix.isdigit() and len(suffix) < 4:
            numbered.append((int(suffix), candidate))
    return [*(p for _, p in sorted(numbered, reverse=True)), path]


def _open_all(path: Path, stack: contextlib.ExitStack) -> list[BinaryIO]:
    """A log and its rotated files, oldest first, all of one moment; `stack` closes them."""
    for _ in range(RENAMED):
        files = [stack.enter_context(file) for one in _rotated(path) if (file := _open(one))]
        now = filter(None, map(_open, _rotated(path)))
        if [_number(file) for file in files] == [_number(stack.enter_context(f)) for f in now]:
            break
    return files


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError):  # a folder in its place holds no lines either
        return None


def _number(file: BinaryIO) -> tuple[int, int]:
    """What stays with a file that is renamed."""
    info = os.fstat(file.fileno())
    return info.st_dev, info.st_ino


def _pieces(files: Iterable[BinaryIO]) -> Iterator[Piece]:
    for file in files:
        while line := file.readline(LONGEST):
            is_cut = len(line) == LONGEST and not line.endswith(b"\n")
            yield line.removesuffix(b"\n").decode(errors="replace"), is_cut


def _whole(pieces: Iterable[Piece], redactor: Redactor) -> Iterator[str]:
    long_lines = LongLines(redactor)
    yield from long_lines.read(pieces)
    yield from long_lines.finish()


def _format(line: str, times: bool, redactor: Redactor) -> str:
    record = parse_record(line)
    if record is None:
        return redactor.text(plain(line))
    stamp, stream, _, text = record
    text = redactor.text(plain(text))
    return f"{stamp} {stream} {text}" if times else text
