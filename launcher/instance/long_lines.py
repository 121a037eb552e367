"""Long lines: a log holds them in pieces, and nothing secret in them may be cut in two.

The keeper cuts a line into records of 64 KiB (`LONGEST_RECORD`), and of an engine's own log at most
`tail.LONGEST` bytes are read at once. Half of a key is not recognised as one, and the rest of a
client's prompt has no `request:` before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from launcher.keeper.output import LONGEST_RECORD, parse_record
from launcher.plain import plain
from launcher.redact import MASK, Redactor

Piece = tuple[str, bool]
"""What was read of a log at once, and whether the line goes on in the next piece."""

CARRIED = 4096
"""Characters at the end of a piece that are shown with the next one: the longest secret."""
_SHORT = LONGEST_RECORD // 4
"""Characters; a cut piece has at least so many, each of at most 4 bytes."""


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

    def __init__(self, redactor: Redactor) -> None:
        """`redactor` knows what must stay whole."""
        self._redactor = redactor
        self._unfinished: dict[str, _Unfinished] = {}

    def read(self, pieces: Iterable[Piece]) -> Iterator[str]:
        """The same lines and pieces, in their order; secrets are not taken out yet."""
        for raw, is_cut in pieces:
            if len(raw) < _SHORT and not self._unfinished:
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
        text = plain(text)
        before = self._unfinished.pop(stream, None)
        if before is not None and before.is_hidden:
            if is_cut:
                self._unfinished[stream] = before
            return head + MASK
        if before is not None:
            text = before.rest + text
        if not is_cut:
            return head + text
        at, is_hidden = self._safe_cut(text)
        self._unfinished[stream] = _Unfinished(head, text[at:], is_hidden)
        return head + text[:at]

    def _safe_cut(self, text: str) -> tuple[int, bool]:
        """Where the shown part of `text` ends, and whether what follows is to be hidden."""
        at = max(0, len(text) - CARRIED)
        request = self._redactor.request_start(text)
        if request is not None and request < at:
            return len(text), True
        for start, end in sorted(self._redactor.extents(text), reverse=True):
            if start < at < end:
                if start < at - CARRIED:
                    return len(text), True
                at = start
        return at, False
