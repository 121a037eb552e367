"""On a server that behaves perfectly everything passes: no false alarm, run after run."""

from __future__ import annotations

import pytest

from launcher.smoke.run.suite import smoke
from tests.smoke.rows import Report, data_of, rows
from tests.smoke.servers import serve
from tests.smoke.targets import target_of


def verdicts(result: Report) -> dict[tuple[str, str], tuple[str, str]]:
    return {
        (c["name"], c["client"]): (c["verdict"], c["message"])
        for c in rows(result)
        if c["verdict"] != "pass"
    }


@pytest.mark.parametrize("run", range(4))
def test_no_false_alarm(run: int) -> None:
    with serve(key="right") as server:
        result = smoke(target_of(server), tags=["full"])
    assert verdicts(result) == {}
    assert result.exit_code == 0
    assert len(rows(result)) >= 50


@pytest.mark.soak
@pytest.mark.parametrize("run", range(50))
def test_no_false_alarm_in_fifty_runs(run: int) -> None:
    with serve(key="right") as server:
        assert verdicts(smoke(target_of(server), tags=["full"])) == {}


def test_both_clients_see_the_same() -> None:
    with serve(key="right") as server:
        result = smoke(target_of(server), tags=["full"], clients=["all"])
    assert verdicts(result) == {}
    assert data_of(result)["clients"] == ["requests", "openai"]
    assert data_of(result)["differences"] == []
