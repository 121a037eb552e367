"""The text of a profile's file, or what is wrong with it."""

from __future__ import annotations

import re

from launcher import files
from launcher.errors import Problem
from launcher.profile.nodes import MAX_BYTES, SourceError

DEADLINE = 30.0
"""Seconds a pipe that is named as a profile may be silent: `<(render-profile)` may be slow."""
_FORBIDDEN = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
"""What YAML does not allow in a text, however it is quoted."""
_BREAK = re.compile("[\n\x85\u2028\u2029]")
"""What ends a line for YAML."""
_read: dict[str, str] = {}


def text_of(label: str) -> str | None:
    """The text of a file that this process has read as a profile, for errors that quote it.

    It is kept rather than read again: it may be a pipe, and may have changed since.
    """
    return _read.get(label)


def read(path: str, label: str) -> str:
    """The file's text; a byte order mark is dropped, line ends become newlines.

    `label` is the file's name in messages.

    Raises:
        SourceError: it is missing, unreadable, too large, or not text in UTF-8.
    """
    try:
        data = files.read_input(path, MAX_BYTES, DEADLINE)
    except FileNotFoundError as error:
        raise SourceError(Problem("missing-profile", f"file not found: {label}", label)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(
            Problem("unreadable-profile", f"{label} cannot be read: {reason.lower()}", label)
        ) from error
    if len(data) > MAX_BYTES:
        raise SourceError(
            Problem("too-large", f"larger than {MAX_BYTES // 1024} KiB, so not a profile", label)
        )
    _read[label] = _end_lines(data.decode("utf-8-sig", "replace"))
    return decode(data, label)


def decode(data: bytes, label: str) -> str:
    """`data` as text.

    Raises:
        SourceError: it is not UTF-8, or has control characters.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        raise SourceError(
            Problem(
                "not-utf8",
                f"byte 0x{data[error.start]:02x} is not UTF-8",
                f"{label}:{_line_and_column(before)}",
                "save the file as UTF-8",
            )
        ) from error
    text = _end_lines(text)
    # The pattern takes milliseconds to compile, and nearly every profile does without.
    printable = text.replace("\n", "").replace("\t", "").isprintable()
    forbidden = None if printable else re.search(_FORBIDDEN, text)
    if forbidden:
        raise SourceError(
            Problem(
                "control-character",
                f"the character U+{ord(forbidden.group()):04X} cannot stand in YAML",
                f"{label}:{_line_and_column(text[: forbidden.start()])}",
                'write it as "\\u...." in double quotes, or remove it',
            )
        )
    return text


def _end_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line_and_column(before: str) -> str:
    """`line:column` of the character that follows `before`."""
    lines = _BREAK.split(_end_lines(before))
    return f"{len(lines)}:{len(lines[-1]) + 1}"
