"""What a stream can show: a terminal's width, colours, a line that is redrawn.

Pipes and files get plain text, which scripts read. On a terminal the conventions of no-color.org
and of CLICOLOR hold: `NO_COLOR` wins, `FORCE_COLOR` and `CLICOLOR_FORCE` colour pipes too (the
layout stays that of a pipe), `CLICOLOR=0` and `TERM=dumb` turn colours off.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import TextIO

from launcher.plain import plain
from launcher.report.escape import visible

NARROWEST = 20
"""Columns that are assumed at least: nothing can be laid out in fewer."""
DEFAULT_WIDTH = 80
"""Columns of a terminal that does not say how many it has (serial lines, some containers)."""
_DUMB = ("dumb", "unknown")
_STYLES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34",
    "magenta": "35", "cyan": "36",
}  # fmt: skip
_UNBROKEN = re.compile(
    r" *`[^`]*`[^ ]* *"  # a command
    r"| *[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]"
    r"| *[^ \u2e80-\u9fff]+ *| +"
)
"""What is not broken at the end of a line."""
_RESET = "\x1b[0m"


@dataclass(frozen=True)
class Terminal:
    """How to show text on one stream.

    `laid_out`: a person reads it, so columns fit `width`. `live`: a line can be redrawn.
    """

    laid_out: bool
    colour: bool
    live: bool
    width: int
    ellipsis: str

    def style(self, text: str, *names: str) -> str:
        """`text` in colours and weights, where the stream shows them."""
        if not self.colour or not text or not names:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}{_RESET}"

    def clip(self, text: str, width: int | None = None) -> str:
        """`text` in at most so many columns (by default the terminal's), with an ellipsis."""
        return clip(text, self.width if width is None else width, self.ellipsis)


def of(stream: TextIO) -> Terminal:
    """What `stream` can show now: the width is asked anew each time."""
    tty = is_terminal(stream)
    dumb = os.environ.get("TERM", "") in _DUMB
    ellipsis = "\u2026" if _encodes(stream, "\u2026\u2502") else "..."
    return Terminal(tty, _colours(tty, dumb), tty and not dumb, _width(stream), ellipsis)


def is_terminal(stream: TextIO) -> bool:
    """True where a person sees what is written; a closed stream is none."""
    try:
        return stream.isatty()
    except (ValueError, AttributeError):
        return False


def _colours(tty: bool, dumb: bool) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        value = os.environ.get(name, "").strip().lower()
        if value:
            return value not in ("0", "false", "no")
    return tty and not dumb and os.environ.get("CLICOLOR") != "0"


def _width(stream: TextIO) -> int:
    columns = 0
    with contextlib.suppress(OSError, ValueError, AttributeError):
        columns = os.get_terminal_size(stream.fileno()).columns
    if not columns:
        with contextlib.suppress(ValueError):
            columns = int(os.environ.get("COLUMNS", ""))
    return max(NARROWEST, columns if columns > 0 else DEFAULT_WIDTH)


def _encodes(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def one_line(text: str) -> str:
    """`text` without what steers a terminal and without line breaks."""
    return visible(plain(text)).replace("\n", " ").replace("\t", " ")


def cells(text: str) -> int:
    """Columns that `text` takes: Chinese takes two a character, a combining mark none."""
    if text.isascii():
        return len(text)
    return sum(map(character_cells, text))


def character_cells(character: str) -> int:
    """Columns of one character."""
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clip(text: str, width: int, ellipsis: str) -> str:
    """`text` in at most `width` columns, its end replaced by `ellipsis` where it is longer."""
    if cells(text) <= width:
        return text
    room = width - cells(ellipsis)
    if room <= 0:
        return ellipsis[: max(0, width)]
    taken, used = [], 0
    for character in text:
        used += character_cells(character)
        if used > room:
            break
        taken.append(character)
    return "".join(taken).rstrip() + ellipsis


def pad(text: str, width: int) -> str:
    """`text` with spaces up to `width` columns."""
    return text + " " * max(0, width - cells(text))


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """`text` in lines of at most `width` columns, broken at spaces; all but the first indented.

    What is longer than a line (a path, a URL, a command in backticks) is not broken: the terminal
    does it, and it can be copied then. Chinese has no spaces, so it is broken anywhere.
    """
    lines, used, line = [], 0, ""
    for word in _UNBROKEN.findall(text):
        size = cells(word.rstrip(" "))
        if line.strip() and used + size > width:
            lines.append(line.rstrip())
            line, used = indent, len(indent)
            word = word.lstrip(" ")
        line += word
        used += cells(word)
    return [*lines, line.rstrip()]
