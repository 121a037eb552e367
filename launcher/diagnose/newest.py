"""The newest lines of logs that say something: where a server stands that does not answer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from launcher.diagnose.diagnosis import TEXT_LIMIT, Evidence
from launcher.diagnose.errors import is_error
from launcher.diagnose.lines import REDACTOR, read, redact, segments
from launcher.diagnose.matching import Matcher
from launcher.diagnose.sources import LogFile, is_binary
from launcher.log_records import EARLIER, LongLines

TAIL = 64 * 1024
"""Bytes at the end of each file that are looked at."""
ERRORS = 3
LAST = 2
"""Lines shown: errors and warnings first, and where the liveliest files ended."""
_LEVELS = ("WARNING", "WARN", "ERROR", "CRITICAL", "FATAL")


def newest_lines(
    files: Iterable[LogFile], noise: Iterable[str], since: float, unwanted: Sequence[str] = ()
) -> tuple[Evidence, ...]:
    """The newest errors and warnings, then the last lines of the newest files, oldest first.

    None is older than `since` (epoch seconds), known as harmless (`noise`), or holds one of
    `unwanted`: the answers to our own questions are the newest lines of most servers.
    """
    harmless = Matcher((), noise)
    errors: list[Evidence] = []
    last: list[Evidence] = []
    for source in files:
        kept = _of_file(source, harmless, since, unwanted)
        if kept:
            last.append(kept[0])
        bad_lines = [
            one for one, level in ((e, read(e.text).level) for e in kept) if _is_bad(one, level)
        ]
        errors += bad_lines[:ERRORS]
    chosen = _newest(errors, ERRORS)
    chosen += [one for one in _newest(last, LAST) if one not in chosen]
    return tuple(sorted(chosen, key=lambda one: one.time or 0.0))


def _of_file(
    source: LogFile, harmless: Matcher, since: float, unwanted: Sequence[str]
) -> list[Evidence]:
    """The lines of a file's end that count, newest first; without a time of their own they have
    that of the next line that has one, else the file's.
    """
    try:
        with source.path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stamp = os.fstat(stream.fileno()).st_mtime
            begin = max(0, size - TAIL)
            before = _lines_before(stream, begin)
            stream.seek(max(0, begin - EARLIER))
            earlier, data = stream.read(min(begin, EARLIER)), stream.read(TAIL)
    except OSError:
        return []  # a rotation took it
    if is_binary(data):
        return []
    kept = []
    raw_lines = _read_on(earlier, data)
    for index in range(len(raw_lines) - 1, -1, -1):
        if index == 0 and size > TAIL:
            break  # most likely the rest of a line
        line = read(raw_lines[index])
        stamp = line.time or stamp
        last_segment = next((t for t in reversed(segments(line.content)) if t.strip()), "").strip()
        text = redact(last_segment)[:TEXT_LIMIT]
        if not text or stamp < since or harmless.is_noise(text):
            continue
        if any(word in text for word in unwanted):
            continue
        kept.append(Evidence(source.name, before + index + 1, text, stamp))
    return kept


def _read_on(earlier: bytes, data: bytes) -> list[str]:
    """The lines that end in `data`; of one that began in `earlier` what may be shown."""
    lines = (earlier + data).decode(errors="replace").split("\n")
    if earlier:
        del lines[0]  # it has lost its beginning
    long_lines = LongLines(REDACTOR, from_middle=bool(earlier))
    shown = list(long_lines.read((line, False) for line in lines))
    return shown[-data.count(b"\n") - 1 :]


def _lines_before(stream: BinaryIO, stop: int) -> int:
    """How many lines end before byte `stop`, where the stream stands afterwards."""
    count = 0
    while stop > 0 and (piece := stream.read(min(stop, 1 << 20))):
        count += piece.count(b"\n")
        stop -= len(piece)
    return count


def _is_bad(one: Evidence, level: str | None) -> bool:
    return level in _LEVELS if level is not None else is_error(one.text, None)


def _newest(lines: list[Evidence], most: int) -> list[Evidence]:
    return sorted(lines, key=lambda one: one.time or 0.0, reverse=True)[:most]
