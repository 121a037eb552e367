"""What every verb returns: one value, of which text and JSON are two renderings.

`launcher.report` does the rendering; no verb prints its own answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from launcher.codec import encode, encode_object
from launcher.errors import DeployError, ExitCode, Problem
from launcher.json_values import JsonValue

SCHEMA = "ernie-deploy/2"
"""Version of the JSON envelope; grows only when a field changes its name or its meaning."""

Payload = TypeVar("Payload", covariant=True)


@dataclass(frozen=True)
class Result(Generic[Payload]):
    """The outcome of one verb.

    `data` is the verb's payload: a frozen dataclass that `launcher.codec` turns into JSON and back,
    None where the verb did not get so far. docs/commands.md describes the object.
    """

    command: str
    data: Payload | None = None
    instance: str | None = None
    exit_code: ExitCode = ExitCode.DONE
    errors: tuple[Problem, ...] = ()

    @classmethod
    def from_error(
        cls, command: str, error: DeployError, instance: str | None = None
    ) -> Result[Payload]:
        """The result of a verb that failed in an expected way."""
        return cls(command, None, instance, error.exit_code, error.problems)

    @property
    def payload(self) -> Payload:
        """The data of a verb that got so far.

        Raises:
            ValueError: it did not.
        """
        if self.data is None:
            raise ValueError(f"{self.command} has no payload")
        return self.data

    def envelope(self) -> dict[str, JsonValue]:
        """The JSON object of `--json`."""
        return {
            "schema": SCHEMA,
            "command": self.command,
            "instance": self.instance,
            "exit_code": int(self.exit_code),
            "data": encode(self.data) if self.data is not None else {},
            "errors": [encode_object(problem) for problem in self.errors],
        }
