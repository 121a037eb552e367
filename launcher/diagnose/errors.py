"""The first error lines of logs in which no rule fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from launcher.diagnose.diagnosis import TEXT_LIMIT, Evidence
from launcher.diagnose.lines import redact, segments
from launcher.diagnose.matching import Matcher, logical_line, span_of, without_head
from launcher.diagnose.sources import LogFile, contents, ready_at

MAX_FIRST_ERRORS = 5
"""Lines shown: enough to see a chain of exceptions, few enough to be read."""

_MARKS = (b"Error", b"ERROR", b"Exception", b"CRITICAL", b"FATAL", b"Fatal", b"fatal", b"panic")
# The last line of a traceback: `ValueError: text`, `pkg.module.SomeException`.
_EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Interrupt|Exit)(: .*)?$")
_PLAIN = re.compile(r"^(\S+: )?(error|fatal|fatal error|panic|FATAL|ERROR)\b[: ]", re.IGNORECASE)
_LEVELS = ("ERROR", "CRITICAL", "FATAL")


def first_errors(
    files: list[LogFile],
    matcher: Matcher,
    floor: float,
    *,
    several: bool = False,
    ready_marks: Iterable[bytes] = (),
) -> tuple[Evidence, ...]:
    """The earliest error lines that no rule knows, noise left out, none older than `floor`.

    Nor, of a file, what stands before the last of the texts `ready_marks`: it was survived.
    """
    errors: list[tuple[float, int, Evidence]] = []
    for source in files:
        try:
            data, _ = contents(source.path, source.length)
            modified = source.path.stat().st_mtime
        except OSError:
            # It was read a moment ago: a rotation took it, and its content with it.
            continue
        kept, started = 0, ready_at(data, ready_marks)
        for offset in _candidates(data):
            if kept >= MAX_FIRST_ERRORS:
                break
            if offset < started:
                continue
            line = logical_line(data, offset)
            text = next((s for s in segments(line.content) if is_error(s, line.level)), None)
            if text is None or matcher.is_noise(text) or matcher.first(text):
                continue
            span = span_of(line, data, offset, modified)
            if not span.may_be_since(floor, several=several):
                continue
            number = data.count(b"\n", 0, offset) + 1
            quoted = redact(text.strip())[:TEXT_LIMIT]
            kept += 1
            errors.append((span.order, offset, Evidence(source.name, number, quoted, span.text)))
    errors.sort(key=lambda item: item[:2])
    return tuple(evidence for _, _, evidence in errors)[:MAX_FIRST_ERRORS]


def is_error(text: str, level: str | None) -> bool:
    """True for an error record's head, a traceback's last line, or a plain `error: ...`."""
    message = without_head(text)
    if message.startswith(("Traceback (most recent call last)", "  ")):
        return False  # the frames of an error whose own line follows
    if level is not None:
        return level in _LEVELS
    return bool(_EXCEPTION.match(message) or _PLAIN.match(message))


def _candidates(data: bytes) -> Iterator[int]:
    """Starts of the lines that hold a word of failure, in order."""
    starts: set[int] = set()
    for mark in _MARKS:
        at = data.find(mark)
        count = 0
        while at >= 0 and count < 2_000:
            starts.add(data.rfind(b"\n", 0, at) + 1)
            after = data.find(b"\n", at)
            at = data.find(mark, after) if after >= 0 else -1
            count += 1
    yield from sorted(starts)
