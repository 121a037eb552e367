"""A comparison for a terminal: one column a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from launcher.report.smoke_text import MARKS
from launcher.result import Result

Column = Mapping[str, Any]


def compare(result: Result) -> str:
    """The tables, the formulas, the regressions."""
    data = result.data
    columns: Sequence[Column] = data["targets"]
    letters = [chr(ord("A") + i) for i in range(len(columns))]
    lines = []
    for letter, column in zip(letters, columns, strict=True):
        target = column["target"]
        what = " ".join(w for w in (target["engine"], target["release"]) if w)
        lines.append(f"{letter}  {column['name']}  {target['model']} {what}".rstrip())
    rows = [["check", *letters]]
    for row in data["checks"]:
        marks = [
            "KNOWN" if c["deviations"].get(row["check"]) else MARKS.get(v, v)
            for c, v in zip(columns, row["verdicts"], strict=True)
        ]
        rows.append([("" if row["same"] else "* ") + row["check"], *marks])
    rows += [["", *["" for _ in letters]], *_numbers(columns)]
    lines += ["", *_aligned(rows), "  * differs between the targets"]
    lines += [
        f"{letter}  could not be checked: {column['problem']}"
        for letter, column in zip(letters, columns, strict=True)
        if column["problem"]
    ]
    lines += _costs(letters, columns)
    if data["regressions"]:
        lines.append(f"WORSE than {data['baseline']}:")
        lines += [
            f"  {r['target']}: {r['what']} was {r['was']}, is {r['is']}"
            for r in data["regressions"]
        ]
    elif data["baseline"]:
        lines.append(f"no worse than {data['baseline']}")
    if data["saved"]:
        lines.append(f"baseline stored in {data['saved']}")
    return "\n".join(lines)


def _numbers(columns: Sequence[Column]) -> list[list[str]]:
    wanted: list[tuple[str, Callable[[Column], Any], str]] = [
        ("first token", lambda c: c["first_token_seconds"], "{:.3f} s"),
        ("tokens per second, one stream", lambda c: c["tokens_per_second"], "{:.1f}"),
        ("chat, whole answer", lambda c: c["chat_seconds"], "{:.2f} s"),
        ("chat, completion tokens", lambda c: c["completion_tokens"], "{:.0f}"),
        ("tool prompts answered", lambda c: c["tools"]["answered"], "{:d}"),
        ("trigger rate", lambda c: c["tools"]["trigger_rate"], "{:.0%}"),
        ("trigger accuracy", lambda c: c["tools"]["trigger_accuracy"], "{:.0%}"),
        ("schema accuracy of calls", lambda c: c["tools"]["schema_accuracy"], "{:.0%}"),
        ("trigger agreement with A", lambda c: c["tools"]["agreement"], "{:.0%}"),
    ]
    return [
        [name, *("-" if get(c) is None else form.format(get(c)) for c in columns)]
        for name, get, form in wanted
    ]


def _costs(letters: Sequence[str], columns: Sequence[Column]) -> list[str]:
    lines: list[str] = []
    for letter, column in zip(letters, columns, strict=True):
        cost = column.get("cost")
        if not cost:
            continue
        if "per_million" in cost:
            streams = int(cost["measured"]["streams"])
            rate = cost["measured"]["tokens_per_second"]
            lines.append(
                f"{letter}  ${cost['per_million']:.4g} per million tokens at {rate:g} tokens/s "
                f"over {streams} streams"
            )
            lines.append(f"     {cost['formula']}")
            lines.append(f"     {cost['worked']}")
        if "problem" in cost:
            lines.append(f"{letter}  no cost: {cost['problem']}")
        if "list" in cost:
            listed = cost["list"]
            lines.append(
                f"{letter}  list price: ${listed['input']:g} in, ${listed['output']:g} out per "
                f"million ({listed['provider']})"
            )
    return lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
