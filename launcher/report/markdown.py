"""A smoke run as Markdown, for a pull request or a job's summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        f"`{target['model']}` at {target['url']} ({engine}), {data['started']}",
        "",
        f"**{summary(data)}**",
        "",
        *(f"- {cell(note)}" for note in target["notes"]),
        "",
        "| verdict | check | client | time | what was seen |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for one in data["checks"]:
        mark = "KNOWN" if one["deviations"] else MARKS[one["verdict"]]
        lines.append(
            f"| {mark} | {cell(one['name'])} | {one['client']} | {one['seconds']:.2f} s "
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
    lines = ["", f"## {one['name']} ({one['client']}): {one['verdict']}", "", one["purpose"], ""]
    for finding in one["findings"]:
        lines.append(
            f"- expected {cell(finding['expected'])}, got {cell(finding['got'])} "
            f"(`{finding['code']}`)"
        )
    if not one["findings"]:
        lines.append(f"- {cell(one['message'])}")
    for deviation in one["deviations"]:
        lines.append(
            f"- known deviation **{deviation['id']}** ({deviation['releases']}): "
            f"{cell(deviation['title'])}. {cell(deviation['source'])}"
        )
    return lines


def cell(text: str) -> str:
    """Text that cannot break a table or become markup: what a server says is not ours."""
    safe = " ".join(text.split())
    for character in "\\`*_[]<>|":
        safe = safe.replace(character, f"\\{character}" if character not in "<>" else character)
    return safe.replace("<", "&lt;").replace(">", "&gt;")
