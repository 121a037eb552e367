"""Lists on a terminal: headings, columns that fit its width, long values cut with an ellipsis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher.report.terminal import Terminal, cells, one_line, pad

GAP = 2
"""Columns between two columns."""


@dataclass(frozen=True)
class Column:
    """One column.

    `least` is the width below which it is not cut; None: never, it is what the reader types. Where
    that is not narrow enough, columns are left out, those of the highest `optional` first. `style`
    says how a value is coloured.
    """

    heading: str
    least: int | None = 6
    optional: int = 0
    style: Callable[[str], tuple[str, ...]] = lambda value: ()


def table(
    terminal: Terminal,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    headings: bool = True,
    widths: Sequence[int] | None = None,
) -> list[str]:
    """The lines of a table; a column without any value is left out.

    Give `widths` of `fitted` where several tables stand below one another.
    """
    values = [tuple(one_line(value) for value in row) for row in rows]
    if widths is None:
        widths = fitted(terminal, columns, values)
    visible = [i for i, width in enumerate(widths) if width]
    lines = []
    if headings:
        heads = [columns[i].heading for i in visible]
        lines.append(
            _line(terminal, heads, [widths[i] for i in visible], [("bold",) for _ in visible])
        )
    for row in values:
        styles = [columns[i].style(row[i]) for i in visible]
        lines.append(
            _line(terminal, [row[i] for i in visible], [widths[i] for i in visible], styles)
        )
    return lines


def fitted(
    terminal: Terminal, columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> list[int]:
    """The width of each column: what its values take, less where the terminal is narrower.

    The widest column is cut first, down to its `least`; a column that has no room left is 0.
    """
    wide = []
    for index, column in enumerate(columns):
        values = [cells(one_line(row[index])) for row in rows]
        wide.append(max([cells(column.heading), *values]) if any(values) else 0)
    floors = [w if c.least is None else min(w, c.least) for c, w in zip(columns, wide, strict=True)]
    there = [index for index, width in enumerate(wide) if width]
    while len(there) > 1 and _total([floors[i] for i in there]) > terminal.width:
        # Of two that are as optional, the one further to the right.
        gone = max(there[1:], key=lambda i: (columns[i].optional, i))
        there.remove(gone)
        wide[gone] = 0
    if len(there) == 1:
        wide[there[0]] = min(wide[there[0]], terminal.width)
    while _total(wide) > terminal.width:
        widest = max((i for i in there if wide[i] > floors[i]), key=lambda i: wide[i] - floors[i])
        wide[widest] -= 1
    return wide


def _total(widths: Sequence[int]) -> int:
    there = [width for width in widths if width]
    return sum(there) + GAP * max(0, len(there) - 1)


def _line(
    terminal: Terminal,
    values: Sequence[str],
    widths: Sequence[int],
    styles: Sequence[tuple[str, ...]],
) -> str:
    parts = []
    for index, (value, width, style) in enumerate(zip(values, widths, styles, strict=True)):
        text = terminal.clip(value, width)
        space = "" if index == len(values) - 1 else pad(text, width + GAP)[len(text) :]
        parts.append(terminal.style(text, *style) + space)
    return "".join(parts).rstrip()
