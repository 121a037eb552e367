"""The `engine` verbs as text."""

from __future__ import annotations

from typing import Any

from launcher.result import Result

_GIB = 1024**3


def listing(result: Result) -> str:
    """`engine list`: a table of what is installed, then what can be."""
    data = result.data
    rows: list[tuple[str, ...]] = [
        (
            e["name"],
            e["version"],
            f"Python {e.get('python_version', '?')}",
            size_text(e.get("size_bytes")),
            e["folder"],
        )
        for e in data["installed"]
    ]
    lines = _table(rows) if rows else [f"no engine is installed in {data['folder']}"]
    lines += [f"unfinished, not used: {folder}" for folder in data["unfinished"]]
    there = {e["name"] for e in data["installed"]}
    lines += [
        f"can be installed: ernie-deploy engine install {a['name']:13} "
        f"# {a['default']} by default, {a['supported']} supported"
        for a in data["available"]
        if a["name"] not in there
    ]
    return "\n".join(lines)


def install(result: Result) -> str:
    """`engine install`: what was done, or with `--dry-run` what would be."""
    data = result.data
    if data.get("dry_run"):
        lines = [
            f"would install {data['name']} {data['version']} in {data['folder']}",
            f"from {data['base_python']} (Python {data['python_version']}), "
            f"needs {size_text(data['disk_bytes'])} of disk",
            *(f"note: {note}" for note in data["notes"]),
            *data["commands"],
        ]
        return "\n".join(lines)
    if not data["new"]:
        return f"{data['name']} {data['version']} is already installed: {data['python']}"
    parts = ", ".join(f"{name} {version}" for name, version in data["distributions"].items())
    lines = [
        f"installed {data['name']} {data['version']} in {data['seconds']:.0f} s, "
        f"{size_text(data['size_bytes'])}: {data['folder']}",
        f"with {parts} on Python {data['python_version']}",
    ]
    if not data["verified"]:
        lines.append("not tried: this machine has no GPU")
    return "\n".join(lines)


def path(result: Result) -> str:
    """`engine path`: the interpreter alone, for `$(...)`."""
    return str(result.data["python"])


def size_text(size: Any) -> str:
    """Bytes as `3.0 GiB`."""
    return f"{size / _GIB:.1f} GiB" if size else "?"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
