"""Server-sent events from bytes, in time and memory that grow with the bytes only.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Lines end with CR LF,
LF or CR; an empty line ends an event.
"""

from __future__ import annotations

import re

LINE_END = re.compile(b"\r\n|\n|\r")
EVENT_LIMIT = 8 << 20
"""Bytes of one event."""
EVENTS_LIMIT = 200_000
"""Events of one answer: more than ERNIE's longest context has tokens."""
LINES_LIMIT = 1_000_000
"""Lines of one answer, comments and empty ones among them."""


class EventReader:
    """Joins lines to events; keeps only the event that has not ended."""

    def __init__(self) -> None:
        """Start before the first line."""
        self._line = bytearray()
        self._lines: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._bom = True
        self._events = 0
        self._ended = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of each event that `piece` completes; events without data are left out.

        Raises:
            ValueError: an event or the number of events is beyond its limit.
        """
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_cr = piece.endswith(b"\r")
        *lines, rest = LINE_END.split(piece)
        self._ended += len(lines)
        if self._ended > LINES_LIMIT:
            raise ValueError(f"more than {LINES_LIMIT} lines in one answer")
        events = []
        for line in lines:
            self._line += line
            data = self._end_line()
            if data is not None:
                events.append(data)
        self._line += rest
        if self._size + len(self._line) > EVENT_LIMIT:
            raise ValueError(f"more than {EVENT_LIMIT} bytes in one event")
        self._events += len(events)
        if self._events > EVENTS_LIMIT:
            raise ValueError(f"more than {EVENTS_LIMIT} events in one answer")
        return events

    @property
    def trailing(self) -> bytes:
        """What came after the last whole event."""
        return b"\n".join([*self._lines, bytes(self._line)]).strip()

    def _end_line(self) -> bytes | None:
        line = bytes(self._line)
        self._line.clear()
        if self._bom:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._bom = False
        if line:
            # A comment is not a part of an event: a proxy keeps a slow stream alive with them.
            if not line.startswith(b":"):
                self._lines.append(line)
                self._size += len(line) + 1
            if self._size > EVENT_LIMIT:
                raise ValueError(f"more than {EVENT_LIMIT} bytes in one event")
            return None
        data = [entry[5:].removeprefix(b" ") for entry in self._lines if entry[:5] == b"data:"]
        self._lines.clear()
        self._size = 0
        return b"\n".join(data) if data else None
