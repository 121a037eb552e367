"""Which of the engine's lines are looked at, so that no output can stall keeper or engine.

Every byte goes into the log; rules are tried within a budget of time. A rule can match
only a line with one of its fixed texts, so most pieces of output are passed over with a few fast
searches and nothing is missed. What comes faster than even that allows is put aside: the newest
lines, and the newest that speak of errors; they are looked at as soon as there is time, and before
a death is judged.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable, Sequence

from launcher.keeper.loop import Loop, Timer
from launcher.keeper.output import Runs
from launcher.keeper.watch import LONGEST_LINE
from launcher.log_records import LONGEST_RECORD
from launcher.plain import plain_block

OnLine = Callable[[str, str, str, bool], None]
"""Called with (source, file name, text, final); not final is an unfinished progress line."""

LONGEST = 4 * LONGEST_LINE
"""Bytes of a line that can hold the characters by which the rules go."""
CUT = LONGEST_RECORD - 3
"""Bytes of a piece of a line at least: the cut spares a character of UTF-8."""
SHARE = 0.3
"""Part of the time that may be spent on looking at lines, in the long run. Not of the processor's:
on a busy machine that would leave nothing for the recording, and the engine would wait for us."""
BURST = 0.5
"""Seconds that may be spent at once, after a rest."""
ASIDE = 100
"""Lines that are kept aside of either kind."""
LATER = 0.1
"""Seconds until another attempt at what was put aside."""

SEVERE = (
    *("rror", "RROR", "atal", "FATAL", "CRIT", "xcept", "aceback", "anic", "bort"),
    *("illed", "KILL", "emory", "egmentation", "ailed", "annot", "died"),
)

_Aside = collections.deque[tuple[str, str, bytes]]


class _Sieve:
    """Finds which of many fixed texts a block holds.

    One character is found, or known to be absent, a hundred times faster than a text: a text with
    an absent one is not searched for. In a run of a few characters no text is, and in such runs
    every search steps from character to character.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Take the texts apart."""
        self._texts = [(text, frozenset(text)) for text in texts]
        self._characters = frozenset("".join(texts))

    def present(self, block: str) -> list[str]:
        """Those of the texts that `block` holds."""
        absent = {character for character in self._characters if character not in block}
        return [
            text
            for text, characters in self._texts
            if absent.isdisjoint(characters) and text in block
        ]


_SEVERE = _Sieve(SEVERE)


class Attention:
    """Passes lines on to `on_line`: all that can matter, or a sample when time is short."""

    def __init__(
        self,
        loop: Loop,
        on_line: OnLine,
        texts: Sequence[str] | None,
        on_drop: Callable[[], None],
        *,
        spent: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`texts`: every line that matters holds one of them (None: unknown).

        `on_drop` is called once, when the first lines are passed over unseen.
        """
        self._loop = loop
        self._on_line = on_line
        self._sieve = None if texts is None else _Sieve(texts)
        self._on_drop = on_drop
        self._dropped = False
        self._spent, self._now = spent, now
        self._budget, self._counted_at = BURST, now()
        self._severe: _Aside = collections.deque(maxlen=ASIDE)
        self._newest: _Aside = collections.deque(maxlen=ASIDE)
        self._timer: Timer | None = None
        self._going_on: set[tuple[str, str]] = set()
        """Of which (source, file) the last line was cut: its rest comes next."""

    def lines(self, source: str, file: str, runs: Runs) -> None:
        """Look at complete lines, now or later; at the beginning only of what is cut in pieces."""
        runs = self._beginnings((source, file), runs)
        if not runs:
            return
        self._refill()
        block = _shorten(b"\n".join(text for text, _ in runs))
        if self._budget <= 0 or self._waiting:
            self._put_aside(source, file, block)
            return
        begun = self._spent()
        lines, candidates = self._candidates(block)
        for at in candidates:
            if self._spent() - begun > self._budget:
                self._put_aside(source, file, b"\n".join(lines[at:]))
                break
            self._on_line(source, file, lines[at].decode(errors="replace"), True)
        self._budget -= self._spent() - begun

    def _beginnings(self, place: tuple[str, str], runs: Runs) -> Runs:
        """`runs` without the rests of cut lines: they may quote anything, and nothing says so."""
        is_rest = place in self._going_on
        if not is_rest and all(is_complete or len(text) < CUT for text, is_complete in runs):
            return runs
        beginnings: Runs = []
        for text, is_complete in runs:
            if not is_rest:
                beginnings.append((text, is_complete))
            elif b"\n" in text:
                beginnings.append((text.partition(b"\n")[2], is_complete))
            # A run of overwritten lines may be as long, but what was cut is alone in its run.
            is_rest = not is_complete and len(text) >= CUT and b"\n" not in text
        (self._going_on.add if is_rest else self._going_on.discard)(place)
        return beginnings

    def unfinished(self, source: str, file: str, text: bytes) -> None:
        """Look at a line that has no end yet, if there is time: it will come again."""
        self._refill()
        if text and self._budget > 0:
            begun = self._spent()
            self._on_line(source, file, _beginning(text).decode(errors="replace"), False)
            self._budget -= self._spent() - begun

    def last_words(self) -> None:
        """Look at all that was put aside, whatever it takes: a process died."""
        while self._waiting:
            self._look_at_one()

    def drop(self) -> None:
        """Take note that something was passed over unseen."""
        if not self._dropped:
            self._dropped = True
            self._on_drop()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._severe.clear()
        self._newest.clear()

    @property
    def _waiting(self) -> bool:
        return bool(self._severe or self._newest)

    def _refill(self) -> None:
        now = self._now()
        self._budget = min(BURST, self._budget + (now - self._counted_at) * SHARE)
        self._counted_at = now

    def _candidates(self, block: bytes) -> tuple[list[bytes], Iterable[int]]:
        """The lines of `block`, and which of them can matter; no lines where none can.

        Colours are taken out first: they may cut a text in two.
        """
        if self._sieve is None:
            lines = block.split(b"\n")
            return lines, range(len(lines))
        readable = plain_block(block)
        present = self._sieve.present(readable)
        if not present:
            return [], ()
        texts = readable.split("\n")
        holders = {at for text in present for at, line in enumerate(texts) if text in line}
        return block.split(b"\n"), sorted(holders)

    def _put_aside(self, source: str, file: str, block: bytes) -> None:
        severe: list[int] = []
        present = _SEVERE.present(block.decode("latin-1"))
        fragments = [word.encode() for word in present]
        texts = block.split(b"\n") if present else block.rsplit(b"\n", ASIDE)[-ASIDE:]
        for at in range(len(texts) - 1, -1, -1) if present else ():
            if any(word in texts[at] for word in fragments):
                severe.append(at)
                if len(severe) == ASIDE:
                    break
        rest = [at for at in range(len(texts))[-ASIDE:] if at not in severe]
        for kept, chosen in ((self._severe, severe[::-1]), (self._newest, rest)):
            kept.extend((source, file, texts[at]) for at in chosen)
        if len(self._severe) == ASIDE or len(self._newest) == ASIDE:
            self.drop()
        if self._timer is None:
            self._timer = self._loop.call_later(LATER, self._catch_up)

    def _look_at_one(self) -> None:
        source, file, text = (self._severe or self._newest).popleft()
        self._on_line(source, file, text.decode(errors="replace"), True)

    def _catch_up(self) -> None:
        self._timer = None
        self._refill()
        begun = self._spent()
        while self._waiting and self._spent() - begun < self._budget:
            self._look_at_one()
        self._budget -= self._spent() - begun
        if self._waiting:
            self._timer = self._loop.call_later(LATER, self._catch_up)


def _beginning(text: bytes) -> bytes:
    """The characters of a line that the rules read: whatever follows costs no search.

    A search may take ten times as long in text that resembles what is looked for (dots for `...`).
    """
    head = text[:LONGEST]
    if head.isascii():
        return head[:LONGEST_LINE]
    return head.decode(errors="replace")[:LONGEST_LINE].encode()


def _shorten(block: bytes) -> bytes:
    """`block` with the beginnings only of lines that are longer than what is searched."""
    begin = 0
    while len(block) - begin > LONGEST_LINE:
        end = block.rfind(b"\n", begin, begin + LONGEST_LINE + 1)
        if end < 0:
            lines = block.split(b"\n")
            return b"\n".join(x if len(x) <= LONGEST_LINE else _beginning(x) for x in lines)
        begin = end + 1
    return block
