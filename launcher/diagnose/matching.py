"""Finding rules in logs fast: fixed texts first, regexes only on the lines that hold one."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from launcher.diagnose.lines import Line, is_chatter, quotes_clients, read, segments
from launcher.diagnose.literals import required
from launcher.diagnose.newlines import BLOCK, Newlines
from launcher.diagnose.sieve import WORTH, Sieve
from launcher.plan.model import FailureRule

_LONGEST_LINE = 64 * 1024
"""Bytes of a line that are looked at; a log without newlines must not stall a diagnosis."""

_FRAME = re.compile(r'^\s*File "[^"\n]*", line \d+')

# What stands before each line of a traceback: the rank (torch: `[rank1]: `, torchrun:
# `[default0]:`), the process and logger of vLLM, and the margin of an exception group. Every part
# may be absent, so it matches any text.
_HEAD = re.compile(
    r"(?:\[rank\d{1,5}\]: |\[[A-Za-z]{0,20}\d{1,5}\]:)?"
    r"(?:\([^)\n]{1,60}\) )?"
    r"(?:\[?(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) +[\d-]{5,10} [\d:.,]{8,15} \[[^\]\n]{1,80}\] ?)?"
    r"(?: {1,20}\| )?"
)
_PLACEHOLDER = re.compile(r"\{[A-Za-z_][\w.]{0,80}(?:\[[^\]\n]{0,40}\]|\(\))?(?:![rsa])?\}")
"""A field of an f-string: `{args.tool_call_parser}`."""
_LONGEST_STATEMENT = 16
"""Lines of source of one frame that are looked through; Python shows fewer."""

# Lines are emptied, not removed, so that they keep their numbers.
_CHATTER = re.compile(
    rb"^(?:\d{4}-[^ \n]{10,40} std(?:out|err) F )?(?:\x1b\[\d+m)?"
    rb"(?:\([^)\n]{1,60}\) )?(?:\[[^\]\n]{1,40}\] )*\[?(?:INFO|DEBUG)\b[^\n]*",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Pattern:
    """One compiled rule; `texts` are what a match must contain, None: unknown."""

    index: int
    regex: re.Pattern[str]
    texts: tuple[bytes, ...] | None


@dataclass(frozen=True)
class Hit:
    """A line that a rule matches: `offset` in bytes from the start of the file's data."""

    index: int
    offset: int
    line: Line
    content: str
    groups: dict[str, str] = field(default_factory=dict)


LOOKED_AT = 10
"""Lines that are looked at for each one that may match: it bounds the work."""


class Matcher:
    """Compiled patterns and noise; `hits` searches data, `first` a single line."""

    def __init__(self, patterns: Iterable[str], noise: Iterable[str] = ()) -> None:
        """Compile; the order of `patterns` decides which one wins on a line."""
        self._patterns = [_compile(index, text) for index, text in enumerate(patterns)]
        self._noise = [re.compile(text) for text in noise]
        self._sieve = Sieve(text for p in self._patterns for text in p.texts or ())

    def first(self, content: str) -> tuple[int, re.Match[str]] | None:
        """The first pattern that matches one line (without head, colours and newline)."""
        raw = content.encode(errors="replace")
        for pattern in self._patterns:
            if pattern.texts is not None and not any(text in raw for text in pattern.texts):
                continue
            match = pattern.regex.search(content)
            if match:
                return (pattern.index, match) if not self.is_noise(content) else None
        return None

    def is_noise(self, content: str) -> bool:
        """True for a line that is known to be harmless, whatever process or logger heads it."""
        message = without_head(content)
        return any(noise.search(content) or noise.search(message) for noise in self._noise)

    def hits(self, data: bytes, *, talkative: Container[int] = (), limit: int = 200) -> list[Hit]:
        """Lines of `data` that a pattern matches, at most `limit` per pattern, by pattern.

        Of one pattern `LOOKED_AT` times as many lines are looked at: most lines that hold its
        fixed text may be noise or source code, and the match may stand behind them.

        Only patterns whose index is in `talkative` may match a logger's INFO and DEBUG records:
        the others do not look at them, which is also most of the work saved.
        """
        hits = []
        # Patterns that look at everything need no text without chatter: it is made on demand.
        quiet = all(p.index in talkative for p in self._patterns)
        sifted = _Sifted(data, b"" if quiet else _without_chatter(data), self._sieve)
        for pattern in self._patterns:
            lines: set[int] = set()
            matched = 0
            for start in sifted.starts(pattern, whole_line=pattern.index in talkative):
                # A long log of refused requests must not stop the search for other rules.
                if matched >= limit or len(lines) >= LOOKED_AT * limit:
                    break
                if start in lines:
                    continue
                lines.add(start)
                hit = self._match(pattern, data, start)
                if hit:
                    hits.append(hit)
                    matched += 1
        return hits

    def _match(self, pattern: Pattern, data: bytes, start: int) -> Hit | None:
        line = logical_line(data, start)
        if _is_code(data, start, line.content):
            return None
        for part in segments(line.content):
            match = pattern.regex.search(part)
            if match is None and (message := without_head(part)) != part:
                match = pattern.regex.search(message)
            if match and not self.is_noise(part):
                groups = {k: v for k, v in match.groupdict().items() if v is not None}
                if any(_PLACEHOLDER.search(value) for value in groups.values()):
                    return None  # the message's template, shown as source
                return Hit(pattern.index, start, line, part, groups)
        return None


class _Sifted:
    """One file's data, without chatter and, where it is large, only the lines worth a look."""

    def __init__(self, data: bytes, quiet: bytes, sieve: Sieve) -> None:
        self._data = data
        self._quiet = quiet
        self._small = quiet
        self._from: list[int] | None = None
        self._numbers: tuple[Newlines, Newlines] | None = None
        if len(quiet) > WORTH:
            self._from = sieve.lines(quiet)
        if self._from is not None:
            ends = (quiet.find(b"\n", at) for at in self._from)
            pairs = zip(self._from, ends, strict=True)
            self._small = b"\n".join(quiet[at : end if end >= 0 else None] for at, end in pairs)
            self._small_numbers = Newlines(self._small)

    def starts(self, pattern: Pattern, *, whole_line: bool) -> Iterator[int]:
        """Where lines of the data begin that may match; `whole_line`: also those of chatter."""
        if whole_line:
            yield from _line_starts(pattern, self._data)
        elif self._from is not None and pattern.texts is not None:
            for at in _line_starts(pattern, self._small):
                yield self._original(self._from[self._small_numbers.line_of(at)])
        else:
            for at in _line_starts(pattern, self._quiet):
                yield self._original(at)

    def _original(self, at: int) -> int:
        """The place in the data of a line of the quiet text: lines keep their numbers."""
        if self._numbers is None:
            self._numbers = Newlines(self._quiet), Newlines(self._data)
        quiet, data = self._numbers
        return data.start_of(quiet.line_of(at))


def compile_rules(rules: Iterable[FailureRule], noise: Iterable[str] = ()) -> Matcher:
    """The matcher of `rules`, in their order."""
    return Matcher((rule.pattern for rule in rules), noise)


def logical_line(data: bytes, start: int) -> Line:
    """The line at `start`, with the rest of it where it was written in parts."""
    line = _line_at(data, start)
    parts = [line.content]
    following = line
    room = _LONGEST_LINE - len(line.content)
    while following.partial:
        start = data.find(b"\n", start) + 1
        if start <= 0 or start >= len(data) or len(parts) > 64 or room <= 0:
            break
        following = _line_at(data, start)
        parts.append(following.content)
        room -= len(following.content)
    if len(parts) == 1:
        return line
    return Line("".join(parts), line.time, line.level)


def record_of(data: bytes, offset: int, *, reach: int = 256 * 1024) -> Line | None:
    """The nearest line at or before `offset` that begins a logger's record, None within `reach`."""
    stop = max(0, offset - reach)
    at = offset
    while at >= stop:
        line = _line_at(data, at)
        if line.level is not None:
            return line
        if at == 0:
            return None
        at = data.rfind(b"\n", 0, at - 1) + 1
    return None


@dataclass(frozen=True)
class Span:
    """When a line was written: after `low`, before `high` (epoch seconds; both equal if known).

    `low` is None where no line with a time comes before; `followed`: a line with a time comes
    after it, else `high` is when the file was last written.
    """

    low: float | None
    high: float
    followed: bool
    text: float | None

    @property
    def order(self) -> float:
        """For sorting: the time of the record it belongs to."""
        return self.high if self.text is None else self.text

    def may_be_since(self, floor: float, *, several: bool) -> bool:
        """True unless the line is older than the start at `floor`.

        Last words have no time. Between an old line and a new one they are the old start's where
        the logs hold `several`, for those of the new one come last.
        """
        if self.low is not None and self.low >= floor:
            return True
        if self.high <= floor or (self.low is not None and self.low == self.high):
            return False
        return not (several and self.followed)


MTIME_SLACK = 1.0
"""Seconds: files' times are coarse, and on network disks whole seconds."""


def span_of(line: Line, data: bytes, offset: int, modified: float) -> Span:
    """The span of the line at `offset` of a file that was last written at `modified`."""
    if line.time is not None:
        return Span(line.time, line.time, True, line.time)
    low = _time_before(data, offset)
    high = time_after(data, offset)
    start = low if low is not None else high
    if high is None:
        return Span(low, modified + MTIME_SLACK, False, start)
    return Span(low, high, True, start)


def time_after(data: bytes, offset: int, *, reach: int = 64 * 1024) -> float | None:
    """The time of the next line after the one at `offset` that has one."""
    at = data.find(b"\n", offset) + 1
    while 0 < at < min(len(data), offset + reach):
        stamp = _line_at(data, at).time
        if stamp is not None:
            return stamp
        at = data.find(b"\n", at) + 1
    return None


def time_near(data: bytes, offset: int) -> float | None:
    """The time of the record that the line at `offset` belongs to, or of the next that has one."""
    before = _time_before(data, offset)
    return time_after(data, offset) if before is None else before


def _time_before(data: bytes, offset: int, *, reach: int = 64 * 1024) -> float | None:
    at = offset
    while at >= max(0, offset - reach):
        stamp = _line_at(data, at).time
        if stamp is not None:
            return stamp
        if at == 0:
            return None
        at = data.rfind(b"\n", 0, at - 1) + 1
    return None


def chatter(hit: Hit, data: bytes, *, logger_only: bool) -> bool:
    """True where a hit stands in an INFO or DEBUG record or in an access log, which only quote.

    In a file that only a logger writes, a line without a head belongs to the record before it; in
    captured output it may as well be a traceback.
    """
    if hit.line.level is not None or not logger_only:
        return quotes_clients(hit.line.content)
    owner = record_of(data, hit.offset)
    return owner is not None and is_chatter(owner.level)


def _is_code(data: bytes, start: int, content: str) -> bool:
    """True for a line of source that a traceback shows: it holds the message's template.

    Source stands below its frame, deeper than it and on several lines where the statement has
    several, so the search goes up through the indented lines to the frame.
    """
    source = without_head(content)
    if not source.startswith("    "):
        return False
    if source.lstrip().startswith("raise "):
        return True
    at = start
    for _ in range(_LONGEST_STATEMENT):
        if at == 0:
            return False
        at = data.rfind(b"\n", 0, at - 1) + 1
        above = without_head(_line_at(data, at).content)
        if _FRAME.match(above):
            return True
        if not above.startswith("    "):
            return False
    return False


def without_head(content: str) -> str:
    """A traceback's line without its rank, process, logger's head and group's margin."""
    return _HEAD.sub("", content, count=1)


def _without_chatter(data: bytes) -> bytes:
    """In blocks: of one long text with a match in every line the pieces would fill the memory."""
    blocks, at = [], 0
    while at < len(data):
        end = data.find(b"\n", at + BLOCK) + 1 or len(data)
        blocks.append(_CHATTER.sub(b"", data[at:end]))
        at = end
    return b"".join(blocks)


def _compile(index: int, text: str) -> Pattern:
    texts = required(text)
    encoded = None if texts is None else tuple(t.encode() for t in texts)
    return Pattern(index, re.compile(text), encoded)


def _line_starts(pattern: Pattern, data: bytes) -> Iterator[int]:
    """Where the lines begin that may match, in order of each text."""
    if pattern.texts is None:
        at = 0
        while 0 <= at < len(data):
            yield at
            after = data.find(b"\n", at)
            at = after + 1 if after >= 0 else -1
        return
    for text in pattern.texts:
        at = data.find(text)
        while at >= 0:
            yield data.rfind(b"\n", 0, at) + 1
            after = data.find(b"\n", at)
            at = data.find(text, after) if after >= 0 else -1


def _line_at(data: bytes, start: int) -> Line:
    end = data.find(b"\n", start, start + _LONGEST_LINE)
    stop = end if end >= 0 else min(len(data), start + _LONGEST_LINE)
    return read(data[start:stop].decode("utf-8", errors="replace"))
