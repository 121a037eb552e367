"""A smoke run as Markdown, for a pull request or a job's summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.report.escape import markdown as cell
from launcher.report.escape import markdown_code as code
from launcher.report.smoke_text import MARKS, summary
from launcher.result import Result


def render(result: Result) -> str:
    """The Markdown document."""
    data = result.data
    target = data["target"]
    engine = " ".join(w for w in (target["engine"], target["release"]) if w) or "unknown engine"
    lines = [
        f"# Smoke: {cell(target['name'])}",
        "",
        f"{code(target['model'])} at {cell(target['url'])} ({cell(engine)}), {data['started']}",
        "",
        f"**{cell(summary(data))}**",
        "",
        *(f"- {cell(note)}" for note in target["notes"]),
        "",
        "| verdict | check | client | time | what was seen |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for one in data["checks"]:
        mark = "KNOWN" if one["deviations"] else MARKS[one["verdict"]]
        lines.append(
            f"| {mark} | {cell(one['name'])} | {cell(one['client'])} | {one['seconds']:.2f} s "
            f"| {cell(one['message'])} |"
        )
    for one in data["checks"]:
        if one["verdict"] in ("fail", "inconclusive"):
            lines += _details(one)
    if data["differences"]:
        lines += ["", "## What the clients see differently", ""]
        for difference in data["differences"]:
            seen = ", ".join(f"{c}: {v}" for c, v in difference["verdicts"].items())
            lines.append(f"- {cell(difference['check'])}: {cell(seen)}")
    return "\n".join(lines) + "\n"


def _details(one: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        f"## {cell(one['name'])} ({cell(one['client'])}): {one['verdict']}",
        "",
        cell(one["purpose"]),
        "",
    ]
    for finding in one["findings"]:
        lines.append(
            f"- expected {cell(finding['expected'])}, got {cell(finding['got'])} "
            f"({code(finding['code'])})"
        )
    if not one["findings"]:
        lines.append(f"- {cell(one['message'])}")
    for deviation in one["deviations"]:
        lines.append(
            f"- known deviation **{cell(deviation['id'])}** ({cell(deviation['releases'])}): "
            f"{cell(deviation['title'])}. {cell(deviation['source'])}"
        )
    return lines
