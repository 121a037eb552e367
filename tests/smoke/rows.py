"""The report of a run, as tests read it."""

from __future__ import annotations

from launcher.result import Result
from launcher.smoke.run.results import SmokeRun
from tests.smoke.servers import Body
from tests.support.as_json import as_json

Report = Result[SmokeRun]


def data_of(result: Report) -> Body:
    """The data of a run."""
    data: Body = as_json(result.payload)
    return data


def rows(result: Report) -> list[Body]:
    """The row of every check."""
    checks: list[Body] = data_of(result)["checks"]
    return checks


def only(result: Report) -> Body:
    """The row of a run's only check."""
    (check,) = rows(result)
    return check


def doubts(result: Report) -> dict[str, str]:
    """The messages of the checks that failed or were inconclusive, by name and client."""
    return {
        f"{c['name']} ({c['client']})": c["message"]
        for c in rows(result)
        if c["verdict"] in ("fail", "inconclusive")
    }
