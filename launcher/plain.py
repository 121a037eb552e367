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
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ANY = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
