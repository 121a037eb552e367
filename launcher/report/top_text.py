"""The lines of `top`, for a pipe, a terminal and the live view.

A line is a list of pieces with styles, so that all three show the same. Where the width is short,
columns are left out in the order of `DROPPED`; the name and the state always stay.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.instance.status import restart_text
from launcher.lifecycle import COMING, InstanceState
from launcher.liveness.judge import Liveness
from launcher.observe.overview import Overview, Row, ordered
from launcher.report.paint import STATES
from launcher.report.terminal import Terminal, cells, clip, one_line, pad
from launcher.result import Result

Piece = tuple[str, tuple[str, ...]]
Line = list[Piece]

COLUMNS: dict[str, tuple[str, int, bool]] = {
    "name": ("NAME", 12, False),
    "state": ("STATE", 13, False),
    "running": ("RUN", 4, True),
    "waiting": ("WAIT", 5, True),
    "tokens": ("TOK/S", 6, True),
    "ttft": ("TTFT", 6, True),
    "kv": ("KV", 4, True),
    "gpu": ("GPU", 6, True),
    "restarts": ("RST", 3, True),
    "age": ("FOR", 6, True),
}
"""Column to its heading, its width (of the name: at least) and whether it is set to the right."""
DROPPED = ("restarts", "gpu", "kv", "ttft", "age", "tokens", "waiting", "running")
"""The order in which columns are left out where the width is short."""
FIGURES = ("running", "waiting", "tokens", "ttft", "kv", "gpu")
"""Columns that a row without figures gives up to say what it does or why it ended."""
LONGEST_NAME = 28
LEAST_NAME = 18
"""Columns of a longer name before others are left out: at 80 columns all others fit."""
LEAST_DETAIL = 24
"""Columns that have to be left for the last column, DETAIL; else it is left out."""
BAR = 10
"""Columns of the bar of a load."""
VERDICTS: dict[Liveness | None, tuple[str, ...]] = {
    Liveness.IDLE: ("green",),
    Liveness.BUSY: ("bold", "green"),
    Liveness.STALLED: ("bold", "red"),
    Liveness.DEAD: ("bold", "red"),
    Liveness.PAUSED: ("yellow",),
    None: ("green",),
}


@dataclass(frozen=True)
class Layout:
    """Which columns there are at a width, and how wide the name and the detail are.

    `detail` is None where the column is missing. `gap` stands between two columns. `is_ascii`:
    the stream shows nothing else.
    """

    columns: tuple[str, ...]
    name: int
    detail: int | None
    is_ascii: bool = False
    gap: int = 1

    @property
    def ellipsis(self) -> str:
        """What stands for the rest of a long value."""
        return "..." if self.is_ascii else "\u2026"

    def width_of(self, column: str) -> int:
        """Columns of the terminal that `column` takes."""
        return self.name if column == "name" else COLUMNS[column][1]

    @property
    def space(self) -> Piece:
        """What stands between two columns."""
        return " " * self.gap, ()

    @property
    def room(self) -> int:
        """Columns that the figures of a row take together."""
        span = [self.width_of(column) for column in self.columns if column in FIGURES]
        return sum(span) + self.gap * max(0, len(span) - 1)


def layout(rows: Sequence[Row], width: int, *, is_ascii: bool = False) -> Layout:
    """What fits into `width` columns."""
    longest = max([LONGEST_NAME // 2, *(cells(one_line(row.name)) for row in rows)])
    columns = [name for name in COLUMNS if name != "gpu" or _has_gpus(rows)]
    name = min(longest, LONGEST_NAME)
    least = min(name, LEAST_NAME)
    for gone in DROPPED:
        if _total(columns, least) <= width:
            break
        if gone in columns:
            columns.remove(gone)
    name = max(COLUMNS["name"][1], min(name, width - _total(columns, 0)))
    left = width - _total(columns, name) - 2
    if left >= LEAST_DETAIL:
        return Layout(tuple(columns), name, left, is_ascii)
    gap = 2 if left + 2 >= len(columns) - 1 else 1
    return Layout(tuple(columns), name, None, is_ascii, gap)


def _has_gpus(rows: Sequence[Row]) -> bool:
    return any(row.gpu_memory is not None for row in rows)


def _total(columns: Sequence[str], name: int) -> int:
    return sum(name if c == "name" else COLUMNS[c][1] for c in columns) + len(columns) - 1


def heading(shape: Layout, sort: str = "") -> Line:
    """The headings; the column that the rows are sorted by stands out."""
    by = {"queue": "waiting", "age": "age"}.get(sort, sort)
    line: Line = []
    for column in shape.columns:
        title, _, right = COLUMNS[column]
        style = ("bold", "cyan") if column == by else ("bold",)
        line.append((_fit(title, shape.width_of(column), right, shape), style))
        line.append(shape.space)
    if shape.detail is not None:
        line += [(" ", ()), ("DETAIL", ("bold",))]
    return line


def row_line(row: Row, shape: Layout, now: float) -> Line:
    """One instance; what has no figures says there what it does, or why it ended."""
    values = _values(row, now)
    line: Line = []
    message = "" if row.load is not None else message_of(row, now, shape)
    span = [c for c in shape.columns if c in FIGURES] if message and shape.detail is None else []
    for column in shape.columns:
        if column in span:
            if column == span[0]:
                line.append((_fit(message, shape.room, False, shape), _message_style(row)))
                line.append(shape.space)
            continue
        text, style = values[column]
        line.append((_fit(text, shape.width_of(column), COLUMNS[column][2], shape), style))
        line.append(shape.space)
    if shape.detail is not None:
        text = message_of(row, now, shape) or _identity(row)
        line += [(" ", ()), (clip(one_line(text), shape.detail, shape.ellipsis),
                             _message_style(row))]  # fmt: skip
    return line


def _fit(text: str, width: int, right: bool, shape: Layout) -> str:
    text = clip(one_line(text), width, shape.ellipsis)
    return " " * (width - cells(text)) + text if right else pad(text, width)


def _values(row: Row, now: float) -> dict[str, Piece]:
    load = row.load
    waiting = seconds = rate = None
    if load is not None:
        waiting, seconds, rate = load.waiting, load.ttft_seconds, load.tokens_per_second
    waiting_text = _count(waiting)
    if load is not None and load.waiting_estimated:
        waiting_text = f"~{waiting_text}"
    usage = load.kv_cache_usage if load else None
    return {
        "name": (row.name, ("bold",) if row.is_problem else ()),
        "state": state_of(row),
        "running": (_count(load.running if load else None), ()),
        "waiting": (waiting_text, ("yellow",) if waiting else ()),
        "tokens": ("" if rate is None else _rate(rate), ()),
        "ttft": ("" if seconds is None else latency(seconds), ()),
        "kv": ("" if usage is None else f"{100 * usage:.0f}%",
               ("yellow",) if usage is not None and usage >= 0.9 else ()),
        "gpu": ("" if row.gpu_memory is None else memory(row.gpu_memory), ()),
        "restarts": (_count(row.restarts), ("yellow",) if row.restarts else ("dim",)),
        "age": ("" if row.since is None else age(now - row.since), ()),
    }  # fmt: skip


def state_of(row: Row) -> Piece:
    """The state, with the verdict of a ready instance and the percent of a loading one."""
    if row.state == InstanceState.READY:
        verdict = row.verdict.value if row.verdict is not None else ""
        if row.doubtful and row.verdict is not Liveness.STALLED:
            return f"ready {verdict}?", ("yellow",)
        return f"ready {verdict}".strip(), VERDICTS[row.verdict]
    if row.restart is not None:
        return "restarting", ("yellow",)
    word = row.state.upper() if row.state == InstanceState.LOST else str(row.state)
    style = STATES.get(word, ("yellow",))
    if row.state == InstanceState.LOADING and row.percent is not None:
        word = f"loading {min(100.0, max(0.0, row.percent)):.0f}%"
    return word, style


def message_of(row: Row, now: float, shape: Layout) -> str:
    """What a row says in words: a phase, why it ended, why it stalls; empty: all is well."""
    if row.restart is not None:
        return restart_text(row.restart).strip()
    if row.state in COMING:
        return _progress(row, now, shape)
    if row.state == InstanceState.READY:
        tells = row.is_problem or row.doubtful or row.verdict is Liveness.PAUSED
        reasons = "; ".join(row.reasons) if tells else ""
        return "; ".join(filter(None, (reasons, row.note)))
    return row.error or row.note or ""


def _message_style(row: Row) -> tuple[str, ...]:
    if row.restart is not None:
        return ("yellow",)
    if row.state in COMING:
        return ("cyan",)
    if row.is_problem:
        return ("red",)
    return ("yellow",) if row.note and row.state == InstanceState.READY else ("dim",)


def _progress(row: Row, now: float, shape: Layout) -> str:
    parts = []
    if row.percent is not None:
        done = round(BAR * min(100.0, max(0.0, row.percent)) / 100)
        full, empty = ("#", ".") if shape.is_ascii else ("\u2588", "\u2591")
        parts.append(full * done + empty * (BAR - done))
    if row.phase:
        parts.append(row.phase)
    if row.expected_seconds is not None and row.since is not None:
        left = row.expected_seconds - (now - row.since)
        parts.append(f"~{age(left)} left" if left > 0 else "longer than usual")
    return " ".join(parts)


def _identity(row: Row) -> str:
    return " ".join(filter(None, (row.engine, row.release, row.model)))


def details(row: Row, now: float, shape: Layout) -> list[Line]:
    """What is known of one instance beside its line, the important first."""
    word, style = state_of(row)
    title: Line = [(row.name, ("bold",)), ("  ", ()), (word, style)]
    begun = row.since if row.verdict_since is None else row.verdict_since
    if begun is not None:
        title.append((f" for {age(now - begun)}", ()))
    lines = [title]
    message = one_line(message_of(row, now, shape))
    if not message and row.reasons:
        message = one_line("; ".join(row.reasons))
    if message:
        lines.append([(message, _message_style(row))])
    if row.remedy and row.is_problem:
        lines.append([(one_line(row.remedy), ())])
    identity = "  ".join(filter(None, (row.base_url, _identity(row))))
    lines.append([(one_line(identity), ("dim",))])
    return lines


# -- figures ----------------------------------------------------------------------------------


def _count(value: int | None) -> str:
    if value is None:
        return ""
    return str(value) if value < 10_000 else _rate(float(value))


def _rate(value: float) -> str:
    """At most five characters: `0`, `3.4`, `128`, `12.3k`, `4.5M`."""
    if value < 10:
        return f"{value:.1f}".removesuffix(".0")
    for limit, unit, power in ((10_000, "", 0), (1e6, "k", 1), (1e9, "M", 2)):
        if value < limit:
            scaled = value / 1000**power
            return f"{scaled:.0f}{unit}" if not power or scaled >= 100 else f"{scaled:.1f}{unit}"
    return f"{value / 1e9:.1f}G" if value < 1e12 else ">1T"


def latency(seconds: float) -> str:
    """At most six characters: `0ms`, `85ms`, `1.25s`, `130s`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 10 else f"{min(seconds, 99999):.0f}s"


def memory(size: int) -> str:
    """At most six characters, in powers of 1024: `512M`, `71.2G`."""
    if size < 1024**3:
        return f"{size / 1024**2:.0f}M"
    return f"{size / 1024**3:.1f}G" if size < 1000 * 1024**3 else f"{size / 1024**4:.1f}T"


def age(seconds: float) -> str:
    """At most six characters: `7s`, `3m05s`, `2h14m`, `12d03h`."""
    total = max(0, int(seconds))
    days, rest = divmod(total, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, total = divmod(rest, 60)
    if days:
        return f"{days}d{hours:02}h" if days < 100 else f"{days}d"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{total:02}s" if minutes else f"{total}s"


def summary(rows: Sequence[Row]) -> str:
    """All instances in one line: how many are what, and what they do together."""
    counts: dict[str, int] = {}
    for row in ordered(rows, "state"):
        word = str(row.state)
        if row.state == InstanceState.READY and row.is_problem and row.verdict is not None:
            word = row.verdict.value
        counts[word] = counts.get(word, 0) + 1
    parts = [f"{count} {word}" for word, count in counts.items()] or ["no instances"]
    loads = [row.load for row in rows if row.load is not None]
    rates = [one.tokens_per_second for one in loads if one.tokens_per_second is not None]
    if rates:
        parts.append(f"{_rate(sum(rates))} tok/s")
    waiting = sum(one.waiting or 0 for one in loads)
    if loads:
        parts.append(f"{waiting} waiting")
    return ", ".join(parts)


# -- `top --once` -----------------------------------------------------------------------------


def overview(result: Result[Overview]) -> str:
    """For a pipe: every column, nothing cut."""
    rows = result.payload.instances
    if not rows:
        return "no instances"
    name = max(COLUMNS["name"][1], *(cells(one_line(row.name)) for row in rows))
    shape = Layout(tuple(COLUMNS), name, 100_000, is_ascii=True)
    return "\n".join(_plain(line) for line in _lines(result.payload, shape))


def screen(result: Result[Overview], terminal: Terminal) -> str | None:
    """For a terminal: what fits, and below it in words what is wrong."""
    rows = result.payload.instances
    if not rows:
        return None
    is_ascii = terminal.ellipsis == "..."
    shape = layout(rows, terminal.width, is_ascii=is_ascii)
    lines = []
    for line in _lines(result.payload, shape):
        lines.append("".join(terminal.style(text, *style) for text, style in line).rstrip())
    if shape.detail is None:
        for row in rows:
            text = one_line(message_of(row, time.time(), shape))
            is_cut = row.load is not None or cells(text) > shape.room
            is_loading = row.state in COMING and row.restart is None
            if text and is_cut and not is_loading:
                lines.append(terminal.clip(f"{row.name}: {text}"))
    return "\n".join(lines)


def _lines(data: Overview, shape: Layout) -> list[Line]:
    now = time.time()
    return [heading(shape, data.sort), *(row_line(row, shape, now) for row in data.instances)]


def _plain(line: Line) -> str:
    return "".join(text for text, _ in line).rstrip()
