"""The `engine` verbs as text."""

from __future__ import annotations

from launcher.environments.payloads import (
    EngineEnvironment,
    EngineInstall,
    EngineList,
    PlannedInstall,
)
from launcher.result import Result

_GIB = 1024**3


def listing(result: Result[EngineList]) -> str:
    """`engine list`: a table of what is installed, then what can be."""
    data = result.payload
    rows: list[tuple[str, ...]] = [
        (
            e.name,
            e.version,
            f"Python {e.python_version or '?'}",
            size_text(e.size_bytes),
            e.folder,
        )
        for e in data.installed
    ]
    lines = _table(rows) if rows else [f"no engine is installed in {data.folder}"]
    lines += [f"unfinished, not used: {folder}" for folder in data.unfinished]
    there = {e.name for e in data.installed}
    lines += [
        f"can be installed: ernie-deploy engine install {a.name:13} "
        f"# {a.default} by default, {a.supported} supported"
        for a in data.available
        if a.name not in there
    ]
    return "\n".join(lines)


def install(result: Result[EngineInstall | PlannedInstall]) -> str:
    """`engine install`: what was done, or with `--dry-run` what would be."""
    data = result.payload
    if isinstance(data, PlannedInstall):
        lines = [
            f"would install {data.name} {data.version} in {data.folder}",
            f"from {data.base_python} (Python {data.python_version}), "
            f"needs {size_text(data.disk_bytes)} of disk",
            *(f"note: {note}" for note in data.notes),
            *data.commands,
        ]
        return "\n".join(lines)
    environment = data.environment
    if not data.new:
        return (
            f"{environment.name} {environment.version} is already installed: {environment.python}"
        )
    distributions = (environment.distributions or {}).items()
    parts = ", ".join(f"{name} {version}" for name, version in distributions)
    lines = [
        f"installed {environment.name} {environment.version} in {environment.seconds or 0:.0f} s, "
        f"{size_text(environment.size_bytes)}: {environment.folder}",
        f"with {parts} on Python {environment.python_version}",
    ]
    if not environment.verified:
        lines.append("not tried: this machine has no GPU")
    return "\n".join(lines)


def path(result: Result[EngineEnvironment]) -> str:
    """`engine path`: the interpreter alone, for `$(...)`."""
    return result.payload.python


def size_text(size: int | None) -> str:
    """Bytes as `3.0 GiB`."""
    return f"{size / _GIB:.1f} GiB" if size else "?"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
