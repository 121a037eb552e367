"""What every verb returns: one value, of which text and JSON are two renderings.

`launcher.report` does the rendering; no verb prints its own answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import DeployError, ExitCode, Problem

SCHEMA = "ernie-deploy/1"
"""Version of the JSON envelope; grows only when a field changes its meaning."""


@dataclass(frozen=True)
class Result:
    """The outcome of one verb.

    `data` holds only what `json.dumps` takes; docs/commands.md describes the object.
    """

    command: str
    data: Mapping[str, Any] = field(default_factory=dict)
    instance: str | None = None
    exit_code: ExitCode = ExitCode.DONE
    errors: tuple[Problem, ...] = ()

    @classmethod
    def from_error(cls, command: str, error: DeployError, instance: str | None = None) -> Result:
        """The result of a verb that failed in an expected way."""
        return cls(command, {}, instance, error.exit_code, error.problems)

    def envelope(self) -> dict[str, Any]:
        """The JSON object of `--json`."""
        return {
            "schema": SCHEMA,
            "command": self.command,
            "instance": self.instance,
            "exit_code": int(self.exit_code),
            "data": dict(self.data),
            "errors": [
                {"code": p.code, "message": p.message, "where": p.where, "remedy": p.remedy}
                for p in self.errors
            ],
        }
