"""A release of an engine, and what an interpreter has of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.errors import Problem


@dataclass(frozen=True)
class Release:
    """A version of an engine: `version` as packaged (`2.3.2`), `line` as documented (`2.3`)."""

    version: str
    line: str


@dataclass(frozen=True)
class Installed:
    """What an interpreter has: the engine's release, or the reason why it cannot be used.

    `distributions` maps every relevant distribution found to its version. `problem` is set where
    the engine is missing or is the wrong package.
    """

    python: str
    python_version: str
    release: Release | None
    distributions: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
