r"""Takes out of a text what would steer the terminal it is shown on.

Engines colour their logs and quote their clients, and servers answer what they like. An escape
sequence among it could move the cursor, rewrite what was shown, or fill the clipboard (OSC 52).
"""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    # OSC, DCS, SOS, PM, APC: a string up to its end, which is BEL or ST. One that does not end
    # loses only its introducer: the rest may be what an operator has to read. Neither does one in
    # which another begins: else a line of nothing but beginnings were read once for each.
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, modes
    r"|\x1b[ -/]*[0-~]"  # the short ones: charsets, save, reset
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_ANY = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SAMPLE = 4096
"""Characters of a block in which all its colours should stand: a logger has some ten."""
_ASCII_CONTROLS = bytes({*range(32), 127} - set(b"\t\n"))


def plain(text: str) -> str:
    r"""`text` without escape sequences and control characters; tabs and newlines stay.

    A `\r` within a line becomes a space: what it would have overwritten can be read as well.
    """
    if not _ANY.search(text):
        return text
    text = _CONTROLS.sub("", _SEQUENCES.sub("", text))
    if "\r" not in text:
        return text
    return "\n".join(line.strip("\r").replace("\r", " ") for line in text.split("\n"))


def plain_block(data: bytes) -> str:
    """`plain(data.decode(errors="replace"))` for many lines at once.

    What most logs are made of (UTF-8, the same few colours, stray zero bytes) is cleaned by
    searches for fixed bytes, which are some ten times faster than patterns.
    """
    text = data.decode(errors="replace")
    has_c1 = b"\xc2" in data  # or a sign such as the degree's
    if not has_c1:
        if len(data.translate(None, _ASCII_CONTROLS)) == len(data):
            return text
        text = _without_colours(text)
    if "\x1b" in text or "\r" in text or not text.isascii():
        return plain(text)
    return text.encode().translate(None, _ASCII_CONTROLS).decode()


def _without_colours(text: str) -> str:
    """`text` without its colours, or as it is where it holds any other sequence."""
    colours = set(_COLOUR.findall(text, 0, _SAMPLE))
    if not colours or sum(map(text.count, colours)) != text.count("\x1b"):
        return text
    for colour in colours:
        text = text.replace(colour, "")
    return text
