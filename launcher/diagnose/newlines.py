"""Line numbers of a large text, without a number in memory for each of its lines."""

from __future__ import annotations

import bisect

BLOCK = 64 * 1024


class Newlines:
    """Counts the newlines of `data` block by block, so that each question reads one block."""

    def __init__(self, data: bytes) -> None:
        """Count them once."""
        self._data = data
        self._before = [0]
        for at in range(0, len(data), BLOCK):
            self._before.append(self._before[-1] + data.count(b"\n", at, at + BLOCK))

    def line_of(self, offset: int) -> int:
        """The number, from 0, of the line that holds `offset`."""
        block = min(offset // BLOCK, len(self._before) - 1)
        return self._before[block] + self._data.count(b"\n", block * BLOCK, offset)

    def start_of(self, line: int) -> int:
        """Where the line with this number, from 0, begins."""
        if line == 0:
            return 0
        block = bisect.bisect_left(self._before, line) - 1
        low, high, line_in_block = block * BLOCK, (block + 1) * BLOCK, line - self._before[block]
        while line_in_block > 1 and high - low > 64:  # halved: a block may be nothing but newlines
            middle = (low + high) // 2
            there = self._data.count(b"\n", low, middle)
            if there >= line_in_block:
                high = middle
            else:
                low, line_in_block = middle, line_in_block - there
        at = self._data.find(b"\n", low)
        for _ in range(line_in_block - 1):
            at = self._data.find(b"\n", at + 1)
        return at + 1
