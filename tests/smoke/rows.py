"""The rows of a run's report."""

from __future__ import annotations

from launcher.json_values import JsonObject
from launcher.result import Result
from tests.smoke.servers import Body
from tests.support.as_json import as_json


def only(result: Result[JsonObject]) -> Body:
    """The row of a run's only check."""
    (check,) = rows(result)
    return check


def rows(result: Result[JsonObject]) -> list[Body]:
    """The row of every check."""
    checks: list[Body] = as_json(result.payload)["checks"]
    return checks


def doubts(result: Result[JsonObject]) -> dict[str, str]:
    """The messages of the checks that failed or were inconclusive, by name and client."""
    return {
        f"{c['name']} ({c['client']})": c["message"]
        for c in rows(result)
        if c["verdict"] in ("fail", "inconclusive")
    }
