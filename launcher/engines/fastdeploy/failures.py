"""FastDeploy's failure rules for a launch plan; the rules themselves are data."""

from __future__ import annotations

from launcher.engines.fastdeploy.release_data import nearest_line
from launcher.engines.rules import book, failure_rules
from launcher.engines.rules import noise as noise_of
from launcher.plan.model import FailureRule, LogRules

ENGINE_NAME = "fastdeploy"


def rules(line: str | None) -> tuple[FailureRule, ...]:
    """Rules of release line `line` ("2.3"), then those of any process; None: of every release."""
    return failure_rules(ENGINE_NAME, None if line is None else nearest_line(line))


def noise() -> tuple[str, ...]:
    """Patterns of FastDeploy's harmless lines."""
    return noise_of(ENGINE_NAME)


def log_rules() -> LogRules:
    """How FastDeploy's logs are read."""
    return book(ENGINE_NAME).log_rules()
