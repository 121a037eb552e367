"""A comparison for a terminal: one column a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from launcher.report.smoke_text import ended_early
from launcher.report.verdict import LABELS, letters
from launcher.result import Result
from launcher.smoke.comparison.payloads import Comparison, TargetColumn


@dataclass(frozen=True)
class Number:
    """One figure of a comparison; `best` picks the best of several, None where none is better."""

    name: str
    value: Callable[[TargetColumn], float | None]
    form: str
    best: Callable[[Iterable[float]], float] | None = None


NUMBERS = (
    Number("first token", lambda c: c.first_token_seconds, "{:.3f} s", min),
    Number("tokens per second, one stream", lambda c: c.tokens_per_second, "{:.1f}", max),
    Number("chat, whole answer", lambda c: c.chat_seconds, "{:.2f} s", min),
    Number("chat, completion tokens", lambda c: c.completion_tokens, "{:.0f}"),
    Number("tool prompts answered", lambda c: c.tools.answered, "{:d}", max),
    Number("trigger rate", lambda c: c.tools.trigger_rate, "{:.0%}"),
    Number("trigger accuracy", lambda c: c.tools.trigger_accuracy, "{:.0%}", max),
    Number("schema accuracy of calls", lambda c: c.tools.schema_accuracy, "{:.0%}", max),
    Number("trigger agreement with A", lambda c: c.tools.agreement, "{:.0%}"),
)


def compare(result: Result[Comparison]) -> str:
    """The tables, the formulas, the regressions."""
    data = result.payload
    columns = data.targets
    names = letters(len(columns))
    lines = []
    for letter, column in zip(names, columns, strict=True):
        target = column.target
        what = target.engine_text
        lines.append(f"{letter}  {column.name}  {target.model} {what}".rstrip())
    rows = [["check", *names]]
    for row in data.checks:
        marks = [LABELS[v].mark if v in LABELS else v for v in row.outcomes]
        rows.append([("" if row.equal else "* ") + row.check, *marks])
    rows += [["", *["" for _ in names]], *_numbers(columns)]
    lines += ["", *_aligned(rows), "  * differs between the targets"]
    lines += [
        f"{letter}  could not be checked: {column.problem}"
        for letter, column in zip(names, columns, strict=True)
        if column.problem
    ]
    lines += [
        f"{letter}  {ended}"
        for letter, column in zip(names, columns, strict=True)
        if (ended := ended_early(column.stopped)) and not column.problem
    ]
    lines += cost_lines(names, columns)
    if data.regressions:
        lines.append(f"WORSE than {data.baseline}:")
        lines += [
            f"  {r.target}: {r.metric} was {r.before}, is {r.after}" for r in data.regressions
        ]
    elif data.baseline:
        lines.append(f"no worse than {data.baseline}")
    if data.saved:
        lines.append(f"baseline stored in {data.saved}")
    return "\n".join(lines)


def _numbers(columns: Sequence[TargetColumn]) -> list[list[str]]:
    return [[n.name, *(format_number(n, n.value(c)) for c in columns)] for n in NUMBERS]


def format_number(number: Number, value: float | None) -> str:
    """A figure with its unit; a hyphen where it is not known."""
    return "-" if value is None else number.form.format(value)


def cost_lines(names: Sequence[str], columns: Sequence[TargetColumn]) -> list[str]:
    """Each target's cost per million tokens with its formula, and its list price."""
    lines: list[str] = []
    for letter, column in zip(names, columns, strict=True):
        cost = column.cost
        if cost is None:
            continue
        if cost.worked is not None:
            worked = cost.worked
            streams = int(worked.measured["streams"])
            rate = worked.measured["tokens_per_second"]
            lines.append(
                f"{letter}  ${worked.per_million:.4g} per million tokens at {rate:g} tokens/s "
                f"over {streams} streams"
            )
            lines.append(f"     {worked.formula}")
            lines.append(f"     {worked.worked}")
        if cost.problem:
            lines.append(f"{letter}  no cost: {cost.problem}")
        if cost.listed is not None:
            listed = cost.listed
            lines.append(
                f"{letter}  list price: ${listed.input:g} in, ${listed.output:g} out per "
                f"million ({listed.provider})"
            )
    return lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
