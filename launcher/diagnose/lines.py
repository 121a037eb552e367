r"""Lines of logs as they are on disk, and what of them is the message.

Three kinds meet in one folder. Our captured output has CRI's form (`<RFC 3339, nanoseconds>
<stream> <F|P> <content>`); FastDeploy's loggers write `LEVEL <local time>,mmm pid file[line:N]
message`, in colour even in files; everything else is raw, progress bars with `\r` and tracebacks
without a time. A line without a time belongs to the record before it.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass

from launcher.plain import plain
from launcher.redact import Redactor

_CRI = re.compile(
    r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP]) ?"
)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|[+-]\d\d:?\d\d))?"
)
_TIME_WITHIN = 96
"""A time further to the right is part of a message, not of a line's head."""

_RECORD = re.compile(
    r"^(?:\([^)\n]{1,60}\) )?(?:\[[^\]\n]{1,40}\] )*"
    r"\[?(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b"
)

_ACCESS = re.compile(r'"[A-Z]{1,20} [^"\n]{1,4000} HTTP/\d(?:\.\d)?"')
"""The request line in an access log of uvicorn or gunicorn; the latter's have no level."""

_LEVELS = r"(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b"
_ANY_LOG = re.compile(
    (
        r"^(?:\x1b\[[\d;]*m)?(?:"
        r"\d{4}-\d\d-\d\dT\S{8,40} (?:stdout|stderr) [FP]"  # CRI
        rf"|(?:\([^)\n]{{1,60}}\) )?(?:\[[^\]\n]{{1,40}}\] )*\[?{_LEVELS}"
        rf"|\[?\d{{4}}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[^\n]{{0,60}}\b{_LEVELS}"
        r"|[IWEF]\d{4,8} \d\d:\d\d:\d\d"  # glog
        r"|(?:\[[A-Za-z]{0,20}\d{1,5}\]: ?)?(?:\([^)\n]{1,60}\) )?"
        r"Traceback \(most recent call last\):"
        r")"
    ).encode(),
    re.MULTILINE,
)

REDACTOR = Redactor()


@dataclass(frozen=True)
class Line:
    """One physical line: its `content` without CRI head and colours, `time` in epoch seconds.

    `partial` lines (CRI flag P) go on in the next one. `level` is set where the line begins a
    record of a logger.
    """

    content: str
    time: float | None
    level: str | None
    partial: bool = False


def read(raw: str) -> Line:
    """Take one physical line apart."""
    head = _CRI.match(raw)
    stamp = None
    partial = False
    content = raw
    if head:
        stamp = parse_time(head[1])
        partial = head[3] == "P"
        content = raw[head.end() :]
    # A `\r` is kept: `segments` goes by it.
    content = "\r".join(plain(part) for part in content.split("\r"))
    if stamp is None:
        stamp = parse_time(content[:_TIME_WITHIN])
    record = _RECORD.match(content)
    return Line(content, stamp, record[1] if record else None, partial)


def parse_time(text: str) -> float | None:
    """The first date and time in `text`, in epoch seconds; without a zone it is local time."""
    match = _TIME.search(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    fraction = float(f"0.{match[7]}") if match[7] else 0.0
    zone = match[8]
    try:
        if zone is None:
            parts = (year, month, day, hour, minute, second, 0, 0, -1)
            return time.mktime(parts) + fraction
        offset = 0
        if zone != "Z":
            offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
            offset = -offset if zone[0] == "-" else offset
        utc = calendar.timegm((year, month, day, hour, minute, second))
    except (OverflowError, ValueError):
        return None
    return utc - offset + fraction


def segments(content: str) -> list[str]:
    r"""What a terminal would have shown one after the other: `\r` begins a line anew."""
    return [part for part in content.rstrip("\n").split("\r") if part]


def is_log(data: bytes) -> bool:
    """True where at least one line has a head that logs of servers have, or begins a traceback."""
    return _ANY_LOG.search(data) is not None


def is_chatter(level: str | None) -> bool:
    """True for a logger's INFO and DEBUG records: they quote requests, prompts and settings."""
    return level in ("INFO", "DEBUG")


def quotes_clients(content: str) -> bool:
    """True for a line with what a client sent: an INFO or DEBUG record, or one of an access log.

    Any client could otherwise write the text of any failure. `content` has neither CRI's head nor
    colours.
    """
    record = _RECORD.match(content)
    return is_chatter(record[1] if record else None) or _ACCESS.search(content) is not None


def redact(text: str) -> str:
    """`text` without what looks like a key, token or password, for quoting."""
    return REDACTOR.text(text)
