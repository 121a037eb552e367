"""`logs`: an instance's logs, one source or all, secrets taken out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.errors import UsageError
from launcher.instance.store import InstanceDir, view
from launcher.keeper.output import parse_record, plain
from launcher.redact import Redactor

FOLLOW_POLL = 0.2
"""Seconds between two looks at a followed file: a person reads it, and any filesystem can hold it
(inotify tells nothing of a file changed by another host)."""


def sources(found: InstanceDir) -> dict[str, Path]:
    """Every log by the name `--source` takes: engine, keeper, events, and the engine's own."""
    named = {
        "engine": found.engine_log,
        "keeper": found.logs / "keeper.log",
        "events": found.folder / "events.jsonl",
    }
    own = found.logs / "engine"
    if own.is_dir():
        for path in sorted(own.rglob("*")):
            # FastDeploy's NAME.log is a link to NAME.log.DATE: show the name people know.
            if path.is_file() and path.name not in named:
                named[str(path.relative_to(own))] = path
    return named


def choose(found: InstanceDir, source: str) -> Path:
    """The file of a source.

    Raises:
        UsageError: there is no such source; names all there are.
    """
    known = sources(found)
    if source not in known:
        raise UsageError.of(
            "unknown-source", f"{found.name} has no log {source!r}", None,
            f"one of: {', '.join(known)}",
        )  # fmt: skip
    return known[source]


def lines(
    found: InstanceDir, source: str, *, last: int | None, times: bool, redactor: Redactor
) -> Iterator[str]:
    """The lines of a source from its oldest rotated file on, or its last `last` ones."""
    path = choose(found, source)
    everything = _shown(_rotated(path), times, redactor)
    if last is None:
        yield from everything
        return
    import collections

    yield from collections.deque(everything, maxlen=last)


def follow(
    found: InstanceDir, source: str, *, last: int, times: bool, redactor: Redactor,
    show: Callable[[str], None],
) -> None:  # fmt: skip
    """Show the last lines and then whatever comes, until the instance has ended."""
    path = choose(found, source)
    for line in lines(found, source, last=last, times=times, redactor=redactor):
        show(line)
    offset = path.stat().st_size if path.exists() else 0
    inode = path.stat().st_ino if path.exists() else 0
    rest = b""
    while True:
        live = view(found)[0] in ("starting", "loading", "ready", "stopping")
        try:
            info = path.stat()
        except FileNotFoundError:
            info = None
        if info is not None:
            if info.st_ino != inode or info.st_size < offset:
                offset, inode = 0, info.st_ino
            if info.st_size > offset:
                with path.open("rb") as file:
                    file.seek(offset)
                    data = rest + file.read()
                    offset = file.tell()
                *whole, rest = data.split(b"\n")
                for raw in whole:
                    for text in _format(raw.decode(errors="replace"), times, redactor):
                        show(text)
        if not live:
            return
        time.sleep(FOLLOW_POLL)


def _rotated(path: Path) -> list[Path]:
    numbered = []
    for other in path.parent.glob(f"{path.name}.*"):
        suffix = other.name.rpartition(".")[2]
        if suffix.isdigit() and len(suffix) < 4:
            numbered.append((int(suffix), other))
    return [*(p for _, p in sorted(numbered, reverse=True)), path]


def _shown(files: list[Path], times: bool, redactor: Redactor) -> Iterator[str]:
    for path in files:
        if not path.exists():
            continue
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for line in file:
                yield from _format(line.rstrip("\n"), times, redactor)


def _format(line: str, times: bool, redactor: Redactor) -> Iterator[str]:
    record = parse_record(line)
    if record is None:
        yield redactor.text(plain(line))
        return
    stamp, stream, _, text = record
    text = redactor.text(plain(text))
    yield f"{stamp} {stream} {text}" if times else text


def events(found: InstanceDir) -> list[dict[str, object]]:
    """The instance's history, for `--json`."""
    from launcher.keeper.state import read_events

    return read_events(found.folder)
