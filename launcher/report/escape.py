r"""Escapes text of servers, engines and users for each report format.

A model's name or an answer may hold terminal escape sequences (`cat report.md` would run them),
lone surrogates (no file can hold them), bidirectional overrides, backticks, pipes and markup.
Every renderer passes each value through one of these functions; `files.py` applies `visible` to
the whole document again, so that a value that was forgotten cannot steer a terminal.
"""

from __future__ import annotations

import html as _html
import re

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the order in which a line is shown
    "\u2028\u2029"  # end a line in some readers and not in others
    "\ufffe\uffff"  # not allowed in XML
    "\ud800-\udfff]"  # half of a surrogate pair: UTF-8 cannot encode it
)
_MARKUP = re.compile(r"[\\`*_\[\]|#~$!{}]")
_MENTION = re.compile(r"@(?=\w)")
_BACKTICKS = re.compile("`+")


def visible(text: str) -> str:
    r"""`text` with each character that is a command and no sign spelled as `\u001b`.

    Tabs and newlines stay; `\r\n` becomes `\n`.
    """
    text = text.replace("\r\n", "\n")
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def line(text: str) -> str:
    """`visible` on a single line."""
    return visible(" ".join(text.split()))


def html(text: str) -> str:
    """Text for an element or a quoted attribute of HTML."""
    return _html.escape(visible(text))


def xml_text(text: str) -> str:
    """Text for an element of XML 1.0."""
    # Imported here: it brings urllib.request, half of the time of a list on a terminal.
    from xml.sax.saxutils import escape as _xml_escape

    return _xml_escape(visible(text))


def xml_attribute(text: str) -> str:
    """An attribute's value of XML 1.0 with its quotes."""
    # Imported here: it brings urllib.request, half of the time of a list on a terminal.
    from xml.sax.saxutils import quoteattr as _xml_quote

    return _xml_quote(visible(text))


def markdown(text: str) -> str:
    """One line of Markdown text: also within a table, a heading or a list, without markup."""
    safe = line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _MARKUP.sub(lambda match: f"\\{match[0]}", safe)
    # A list marker or an underline at the start of a list item or a paragraph.
    if safe[:1] in "+-=":
        safe = f"\\{safe}" if safe else safe
    safe = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", safe)
    # An invisible space: `@name` in a comment of a pull request would notify that person.
    return _MENTION.sub("@\u200b", safe)


def markdown_code(text: str) -> str:
    """One line as a Markdown code span, whatever backticks it holds; not for table cells."""
    visible_text = line(text)
    longest = max((len(run) for run in _BACKTICKS.findall(visible_text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if not visible_text or visible_text[0] == "`" or visible_text[-1] == "`" else ""
    return f"{fence}{pad}{visible_text}{pad}{fence}"


def markdown_block(text: str) -> list[str]:
    """Lines of a fenced Markdown code block, whatever fences `text` holds."""
    visible_text = visible(text)
    longest = max((len(run) for run in _BACKTICKS.findall(visible_text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *visible_text.split("\n"), fence]
