"""The frame of an HTML report: one file that needs nothing beside it and asks no network.

The policy in its head lets run only the style and the script that are written here, known by
their hash: markup that got past the escaping could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from launcher.report.escape import html as escape
from launcher.report.verdict import LABELS

DATA = Path(__file__).with_name("data")


def page(title: str, body: str) -> str:
    """The whole document."""
    style = "\n" + (DATA / "page.css").read_text(encoding="utf-8")
    script = "\n" + (DATA / "page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title><style>{style}</style></head><body>
{body}
<script>{script}</script></body></html>
"""


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def mark(verdict: str) -> str:
    """A verdict as a label in its colour."""
    entry = LABELS.get(verdict)
    style, label = (entry.style, entry.label) if entry else ("none", verdict.upper())
    return mark_as(style, label)


def mark_as(style: str, label: str) -> str:
    """A label in the colour of `style`: `pass`, `fail`, `doubt`, `known` or `none`."""
    return f'<span class="mark {style}">{escape(label)}</span>'


def data_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a heading over each column; cells are markup, and the first of a row heads it.

    On a narrow screen it scrolls by itself, and the page does not.
    """
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="grid data"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def facts_table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and their values, one below the other; texts are escaped here."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f'<dl class="facts-list">{items}</dl>'


def filters(counts: Mapping[str, int], choices: Mapping[str, Iterable[str]]) -> str:
    """The controls above a list of items; hidden until the script says that they work.

    `counts` are items by verdict, `choices` the values of each further attribute of an item.
    """
    buttons = "".join(
        f'<button type="button" data-verdict="{escape(verdict)}" aria-pressed="false">'
        f"{escape(LABELS[verdict].short if verdict in LABELS else verdict)} {number}</button>"
        for verdict, number in counts.items()
        if number
    )
    selects = "".join(
        f'<select name="{escape(name)}" aria-label="{escape(name)}">'
        f'<option value="">Every {escape(name)}</option>'
        + "".join(f'<option value="{escape(v)}">{escape(v)}</option>' for v in values)
        + "</select>"
        for name, values in choices.items()
    )
    return (
        '<div class="filters" role="search" hidden>'
        '<input type="search" placeholder="Search (press /)" aria-label="Search">'
        f'{buttons}{selects}<button type="button" data-reset>Show all</button>'
        '<output class="dim" aria-live="polite"></output></div>'
        '<p class="empty" hidden>Nothing matches these filters.</p>'
    )


def attribute(values: Iterable[str]) -> str:
    """Several values as one attribute that the filters can take apart."""
    return escape("\n".join(" ".join(value.split()) for value in values))


class Anchors:
    """Names of places in a page: readable, and never two the same."""

    def __init__(self) -> None:
        """Start without any."""
        self._used: set[str] = set()

    def new(self, *parts: str) -> str:
        """A name made of `parts`; what no address can hold becomes a hyphen."""
        joined = "-".join(parts)
        safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in joined)
        name, number = safe[:80], 1
        while name in self._used:
            number += 1
            name = f"{safe[:80]}-{number}"
        self._used.add(name)
        return name
