"""Text for `validate`: that the profile is right, against what, and what was translated."""

from __future__ import annotations

from launcher.environments.payloads import Validation
from launcher.result import Result


def validate(result: Result[Validation]) -> str:
    """One line that says OK, then the notes."""
    data = result.payload
    release = f" {data.release}" if data.release else ""
    counts = (
        (data.checked.keys, "keys"), (data.checked.flags, "flags"),
        (data.checked.variables, "variables"),
    )  # fmt: skip
    checked = ", ".join(
        f"{n} {what.removesuffix('s') if n == 1 else what}" for n, what in counts if n
    )
    lines = [f"{data.profile or data.name}: OK for {data.engine}{release} ({data.checked_against})"]
    if checked:
        lines.append(f"  checked: {checked}")
    lines += [f"  note: {note}" for note in data.notes]
    return "\n".join(lines)
