"""What an exit code alone says, where the logs are silent."""

from __future__ import annotations

EXIT_RULES: dict[int, str] = {
    -9: "ED-KILLED",
    137: "ED-KILLED",
    -11: "ED-SEGFAULT",
    139: "ED-SEGFAULT",
    -7: "ED-BUS-ERROR",
    135: "ED-BUS-ERROR",
}
"""Exit codes (negative: by signal, 128 + n: a shell's word for it) and the rule they speak for."""
