"""Records of the captured output, and long lines: those come in pieces.

The keeper cuts a line into records of 64 KiB (`LONGEST_RECORD`), and of an engine's own log at most
`tail.LONGEST` bytes are read at once. Half of a key is not recognised as one, and the rest of a
client's prompt has no `request:` before it: nothing secret may be cut in two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from launcher.plain import plain
from launcher.redact import MASK, Redactor

LONGEST_RECORD = 64 * 1024
"""Bytes after which a line without an end is cut into pieces."""
EARLIER = 3 * LONGEST_RECORD
"""Bytes before a log's end in which stands what its first lines may be the rest of."""

Piece = tuple[str, bool]
"""What was read of a log at once, and whether the line goes on in the next piece."""

CARRIED = 4096
"""Characters at the end of a piece that are shown with the next one: the longest secret."""
_SHORT = LONGEST_RECORD // 4
"""Characters; a cut piece has at least so many, each of at most 4 bytes."""


def parse_record(line: str) -> tuple[str, str, str, str] | None:
    """(time, stream, tag, text) of one record of `engine.log`, or None."""
    parts = line.split(" ", 3)
    if len(parts) < 3 or parts[1] not in ("stdout", "stderr") or parts[2] not in ("F", "P"):
        return None
    return parts[0], parts[1], parts[2], parts[3] if len(parts) > 3 else ""


@dataclass(frozen=True)
class _Unfinished:
    """A line that goes on: its record's head, the text not shown yet, and whether the rest may be.

    The rest of a line is hidden whose secret, or whose client's request, began in an earlier piece.
    """

    head: str
    rest: str
    is_hidden: bool


class LongLines:
    """Moves the cuts of long lines to where no secret is: each piece can be shown by itself."""

    def __init__(self, redactor: Redactor, *, from_middle: bool = False) -> None:
        """`redactor` knows what must stay whole.

        With `from_middle` the first pieces may belong to lines whose beginning is not seen: of a
        line that goes on nothing is shown then.
        """
        self._redactor = redactor
        self._begun: set[str] | None = set() if from_middle else None
        self._unfinished: dict[str, _Unfinished] = {}

    def read(self, pieces: Iterable[Piece]) -> Iterator[str]:
        """The same lines and pieces, in their order; secrets are not taken out yet."""
        for raw, is_cut in pieces:
            if len(raw) < _SHORT and not self._unfinished and self._begun is None:
                yield raw
            else:
                yield self._moved(raw, is_cut)

    def finish(self) -> Iterator[str]:
        """What was kept for a next piece that did not come."""
        for line in self._unfinished.values():
            if line.rest:
                yield line.head + line.rest
        self._unfinished.clear()

    def _moved(self, raw: str, is_cut: bool) -> str:
        record = parse_record(raw)
        stream, head, text = "", "", raw
        if record is not None:
            stamp, stream, tag, text = record
            head = f"{stamp} {stream} {tag} "
            # The cut spares a character of UTF-8, which has up to 4 bytes.
            is_cut = tag == "P" and len(text.encode()) > LONGEST_RECORD - 4
        before = self._unfinished.pop(stream, None)
        if self._begun is not None and stream not in self._begun:
            self._begun.add(stream)
            before = _Unfinished(head, "", True) if is_cut else None
        if before is not None and before.is_hidden:
            if is_cut:
                self._unfinished[stream] = before
            return head + MASK
        if before is None and not is_cut:
            return raw
        text = (before.rest if before is not None else "") + plain(text)
        if not is_cut:
            return head + text
        at, is_hidden = self._safe_cut(text)
        self._unfinished[stream] = _Unfinished(head, text[at:], is_hidden)
        return head + text[:at]

    def _safe_cut(self, text: str) -> tuple[int, bool]:
        """Where the shown part of `text` ends, and whether what follows is to be hidden."""
        at = max(0, len(text) - CARRIED)
        floor = at - CARRIED
        request = self._redactor.request_start(text)
        if request is not None and request < at:
            return len(text), True
        for start, end in sorted(self._redactor.extents(text), reverse=True):
            if start < at < end:
                if start < floor:
                    return len(text), True
                at = start
        return at, False
