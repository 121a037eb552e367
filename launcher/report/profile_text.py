"""The `profiles` verbs as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from launcher.result import Result

CHANGES = (
    ("gone", "no longer there"),
    ("added", "new"),
    ("renamed", "spelled differently"),
    ("defaults", "default moved"),
    ("behaviour", "behaves differently"),
    ("notes", "note"),
)
"""Parts of a release comparison, and what each is called."""


def listing(result: Result) -> str:
    """`profiles list`: what can be started, then what cannot and why."""
    rows = result.data["profiles"]
    valid = [row for row in rows if "problem" not in row]
    columns = ("file", "engine", "model")
    widths = [max((len(str(row[c])) for row in valid), default=0) for c in columns]
    lines = [
        "  ".join(str(row[c]).ljust(w) for c, w in zip(columns, widths, strict=True))
        + f"  {row['description'] or ''}".rstrip()
        for row in valid
    ]
    lines += [
        f"{row['file']}: no profile by itself: {row['problem']}" for row in rows if "problem" in row
    ]
    return "\n".join(lines) or "no profiles here"


def show(result: Result) -> str:
    """`profiles show`: the resolved profile as YAML, with its origins as comments."""
    import yaml

    data = result.data
    lines = [f"# note: {line}" for note in data["notes"] for line in note.split("\n")]
    if "origins" not in data:
        text = yaml.safe_dump(
            dict(data["profile"]), sort_keys=False, allow_unicode=True, default_flow_style=False
        )
        return "\n".join([*lines, text])
    written = list(_lines(data["profile"], data["origins"], "", ""))
    width = min(max((len(line) for line, origin in written if origin), default=0), 60)
    lines += [f"{line.ljust(width)}  # {origin}" if origin else line for line, origin in written]
    return "\n".join(lines)


def schema(result: Result) -> str:
    """`profiles schema`: the JSON Schema and nothing else, to be redirected to a file."""
    return json.dumps(result.data["schema"], ensure_ascii=False, indent=2)


def init(result: Result) -> str:
    """`profiles init`: the profile for stdout; for a file its name, the notes and the next step."""
    data = result.data
    file = data["file"]
    if file is None:
        return str(data["text"]).rstrip("\n")
    notes = [f"note: {note}" for note in data["notes"]]
    return "\n".join([f"wrote {file}", *notes, f"next: ernie-deploy validate {file}"])


def diff_release(result: Result) -> str:
    """`profiles diff-release`: one line per change, grouped by kind."""
    data = result.data
    head = f"{result.instance}: FastDeploy {data['old']} to {data['new']}"
    lines = [f"  {called}: {entry}" for part, called in CHANGES for entry in data.get(part, ())]
    return "\n".join([f"{head}:", *lines] if lines else [f"{head}: nothing changes"])


def _lines(
    values: Mapping[str, Any], origins: Mapping[str, Any], path: str, indent: str
) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        here = f"{path}.{name}" if path else name
        key = f"{indent}{_flow(name)}:"
        if isinstance(value, Mapping) and value:
            yield key, ""
            yield from _lines(value, origins, here, f"{indent}  ")
        else:
            yield f"{key} {_flow(value)}", _origin(origins.get(here))


def _flow(value: Any) -> str:
    """The value as YAML on one line."""
    import yaml

    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("...").rstrip("\n")


def _origin(origin: Mapping[str, Any] | None) -> str:
    if origin is None:
        return ""
    source = origin["source"]
    if origin["line"] is not None:
        source = f"{source}:{origin['line']}:{origin['column']}"
    return f"{source} ({origin['note']})" if origin["note"] else source
