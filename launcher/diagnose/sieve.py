"""Finds the few lines of a large log that can hold any of many fixed texts.

Searching for two hundred texts one after the other reads a log two hundred times. Most texts
share short pieces ("rror: ", "not found"), so some thirty well-chosen pieces are searched instead,
and the texts only in the lines that hold a piece. Which pieces are cheap depends on the log: they
are counted in a sample of it.
"""

from __future__ import annotations

from collections.abc import Iterable

WORTH = 2 * 1024 * 1024
"""Bytes below which choosing pieces costs more than it saves."""

MOST = 500_000
"""Lines beyond which a log is not worth sifting: their starts alone take 50 MB."""
_LENGTHS = (4, 6)
_SAMPLE = 32 * 1024
_RARE = 30
"""How much a piece is worth less for each time it stands in the sample."""


class Sieve:
    """The pieces of `texts`, each with the texts that contain it."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        """Cut every text into its pieces."""
        self._texts = list(dict.fromkeys(texts))
        self._pieces: dict[bytes, frozenset[int]] = {}
        literals: dict[bytes, set[int]] = {}
        for index, text in enumerate(self._texts):
            for length in _LENGTHS:
                for at in range(max(1, len(text) - length + 1)):
                    literals.setdefault(text[at : at + length], set()).add(index)
        self._pieces = {piece: frozenset(holders) for piece, holders in literals.items()}

    def lines(self, data: bytes) -> list[int] | None:
        """Starts, in order, of all lines of `data` that may hold one of the texts.

        None where they are so many that sifting saves nothing and costs memory.
        """
        starts: set[int] = set()
        for piece in self._choose(data):
            at = data.find(piece)
            while at >= 0:
                starts.add(data.rfind(b"\n", 0, at) + 1)
                if len(starts) > MOST:
                    return None
                after = data.find(b"\n", at)
                at = data.find(piece, after) if after >= 0 else -1
        return sorted(starts)

    def _choose(self, data: bytes) -> list[bytes]:
        """Pieces that together stand in every text, rare ones in `data` first."""
        step = max(1, len(data) // 4)
        sample = b"\n".join(data[at : at + _SAMPLE // 4] for at in range(0, len(data), step))
        weight = {piece: 1 + _RARE * sample.count(piece) for piece in self._pieces}
        missing = set(range(len(self._texts)))
        chosen = []
        while missing:
            best = max(
                self._pieces, key=lambda piece: len(self._pieces[piece] & missing) / weight[piece]
            )
            chosen.append(best)
            missing -= self._pieces[best]
        return chosen
