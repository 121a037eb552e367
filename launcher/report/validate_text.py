"""Text for `validate`: that the profile is right, against what, and what was translated."""

from __future__ import annotations

from launcher.result import Result


def validate(result: Result) -> str:
    """One line that says OK, then the notes."""
    data = result.data
    release = f" {data['release']}" if data["release"] else ""
    counts = ((count, what) for what, count in data["checked"].items() if count)
    checked = ", ".join(f"{n} {what.removesuffix('s') if n == 1 else what}" for n, what in counts)
    lines = [
        f"{data['profile'] or data['name']}: OK for {data['engine']}{release} ({data['judged']})"
    ]
    if checked:
        lines.append(f"  checked: {checked}")
    lines += [f"  note: {note}" for note in data["notes"]]
    return "\n".join(lines)
