"""Text for `render` and `diff`."""

from __future__ import annotations

from launcher.render.drift import Drift
from launcher.render.rendering import Rendered
from launcher.result import Result


def rendered(result: Result[Rendered]) -> str:
    """The files themselves, or where they were written."""
    data = result.payload
    if data.folder is not None:
        lines = [f"{result.instance} for {data.target}, engine {data.release}, in {data.folder}"]
        return "\n".join([*lines, *(f"  {one.path}" for one in data.files)])
    return "\n".join(f"# file: {one.path}\n{one.text}" for one in data.files)


def drift(result: Result[Drift]) -> str:
    """One line for each thing that was compared, its differences below it."""
    lines = []
    for row in result.payload.rows:
        lines.append(f"{row.state:<11} {row.subject}")
        lines += [f"            {change}" for change in row.changes]
    return "\n".join(lines)
