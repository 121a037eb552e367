"""The rows of a run's report."""

from __future__ import annotations

from launcher.result import Result
from tests.smoke.servers import Body


def only(result: Result) -> Body:
    """The row of a run's only check."""
    (check,) = rows(result)
    return check


def rows(result: Result) -> list[Body]:
    """The row of every check."""
    checks: list[Body] = result.data["checks"]
    return checks


def doubts(result: Result) -> dict[str, str]:
    """The messages of the checks that failed or were inconclusive, by name and client."""
    return {
        f"{c['name']} ({c['client']})": c["message"]
        for c in rows(result)
        if c["verdict"] in ("fail", "inconclusive")
    }
