"""Errors on a terminal: the problem, the line with a caret below the position, and what to do.

The layout is that of compilers and linters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from launcher.errors import Problem
from launcher.plain import plain
from launcher.report.escape import visible
from launcher.report.terminal import Terminal, cells, one_line, wrap

TAB = 4
"""Columns of a tab in a quoted line."""
NOWHERE = ("missing-key", "empty-profile")
"""Errors about what is not there: no line of the file shows it."""
_POSITION = re.compile(r"(?P<file>.+):(?P<line>\d{1,9}):(?P<column>\d{1,9})\Z", re.DOTALL)
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|\[redacted\]|[^\s,\[\]{}#\"']+")


def frames(problems: Sequence[Problem], terminal: Terminal) -> str:
    """Every problem with the line that shows it, where that line is known."""
    secret = _secret_positions(problems)
    return "\n".join(
        "\n".join(_frame(problem, terminal, secret)) + "\n" for problem in problems
    ).rstrip("\n")


def _frame(
    problem: Problem, terminal: Terminal, secret: dict[str, set[tuple[int, int]]]
) -> list[str]:
    head = terminal.style(f"error[{problem.code}]", "bold", "red")
    title = f"error[{problem.code}]"
    first, *more = _lines(f"{title}: {problem.message}", terminal, "  ")
    lines = [f"{head}{terminal.style(first.removeprefix(title), 'bold')}", *more]
    position = _POSITION.match(problem.where or "")
    absent = problem.code in NOWHERE
    quoted = _quoted(position, terminal, secret) if position and not absent else []
    gutter = len(position["line"]) if position and quoted else 1
    bar = terminal.style("|", "blue")
    if problem.where:
        arrow = terminal.style("-->", "blue")
        lines.append(f"{' ' * gutter}{arrow} {one_line(problem.where)}")
    if quoted and position:
        number = terminal.style(position["line"], "blue")
        content, caret = quoted
        lines += [f"{' ' * gutter} {bar}", f"{number} {bar} {content}".rstrip()]
        lines += [f"{' ' * gutter} {bar} {caret}"]
    if problem.remedy:
        equals, help_ = terminal.style("=", "blue"), terminal.style("help:", "bold", "cyan")
        title, indent = f"{' ' * gutter} = help: ", " " * (gutter + 9)
        first, *more = _lines(title + problem.remedy, terminal, indent)
        lines.append(f"{' ' * gutter} {equals} {help_} {first.removeprefix(title)}")
        lines += more
    return lines


def _secret_positions(problems: Sequence[Problem]) -> dict[str, set[tuple[int, int]]]:
    """Where an error says that a secret stands, by file."""
    positions: dict[str, set[tuple[int, int]]] = {}
    for problem in problems:
        position = _POSITION.match(problem.where or "")
        if position and "secret" in problem.code:
            at = (int(position["line"]), int(position["column"]))
            positions.setdefault(position["file"], set()).add(at)
    return positions


def _quoted(
    position: re.Match[str], terminal: Terminal, secret: dict[str, set[tuple[int, int]]]
) -> list[str]:
    """The line around its position, and the line of the caret; empty where the line is unknown."""
    # Imported here: only a file of the profile's room can be quoted, and PyYAML takes a moment.
    from launcher.profile.source import text_of

    text = text_of(position["file"])
    if text is None:
        return []
    from launcher.profile.quoting import quote

    line = quote(
        text,
        int(position["line"]),
        int(position["column"]),
        secret.get(position["file"], frozenset()),
    )
    if line is None:
        return []
    match = _TOKEN.match(line.text, line.column)
    end = line.column + max(1, len(match[0].rstrip(":")) if match else 1)
    room = terminal.width - len(position["line"]) - 3
    return _window(line.text, line.column, end, room, terminal)


def _window(text: str, begin: int, end: int, room: int, terminal: Terminal) -> list[str]:
    """What fits of the line around the position, and a caret below each of its columns."""
    signs = [_sign(character) for character in text]
    widths = [cells(sign) for sign in signs]
    total, mark = sum(widths), cells(terminal.ellipsis)
    first, last = 0, len(signs)
    if total > room:
        # A third of the room stays for what comes before the position.
        while begin > first and sum(widths[first:begin]) > room // 3:
            first += 1
        used = mark + (mark if first else 0)
        last = first
        while last < len(signs) and used + widths[last] <= room:
            used += widths[last]
            last += 1
        if last == len(signs):
            # The end is in sight: show as much before it as there is room for.
            while first and sum(widths[first - 1 :]) + (mark if first > 1 else 0) <= room:
                first -= 1
    head = terminal.ellipsis if first else ""
    tail = terminal.ellipsis if last < len(signs) else ""
    content = "".join(signs[first:last])
    space = cells(head) + sum(widths[first:begin])
    marked = max(1, min(sum(widths[begin : min(end, last)]), room - space))
    caret = terminal.style("^" * marked, "bold", "red")
    return [f"{head}{content}{tail}", f"{' ' * space}{caret}"]


def _sign(character: str) -> str:
    """How one character of a file is displayed: tabs as spaces, invisible ones by number."""
    if character == "\t":
        return " " * TAB
    if character.isprintable() or unicodedata.combining(character):
        return character
    return f"\\u{ord(character):04x}"


def _lines(text: str, terminal: Terminal, indent: str) -> list[str]:
    first, *more = visible(plain(text)).split("\n")
    lines = wrap(first, terminal.width, indent)
    for line in more:
        lines += wrap(indent + line, terminal.width, indent)
    return lines
