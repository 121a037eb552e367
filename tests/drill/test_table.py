"""The table in docs/drills.md is that of the recorded run, and its bars are those of the code."""

import re

import pytest

from launcher.drill.scenarios import SCENARIOS
from launcher.report.drill_text import bars
from tests.drill.table import PROMISES, TABLE, Recorded, insert, promises, read, render
from tests.support import ROOT

PAGE = ROOT / "docs" / "drills.md"
RUNS = ROOT / "docs" / "drills.json"


@pytest.fixture(scope="module")
def recorded() -> list[Recorded]:
    return read(RUNS)


def test_the_page_has_the_table_of_the_recorded_run(recorded: list[Recorded]) -> None:
    """Else: `make drill-table`."""
    page = PAGE.read_text(encoding="utf-8")
    assert insert(page, TABLE, render(recorded)) == page


def test_the_promises_of_readme_are_those_of_the_recorded_run(recorded: list[Recorded]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert insert(readme, PROMISES, promises(recorded)) == readme


def test_every_scenario_has_a_line_with_its_bars() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+)$", PAGE.read_text(), re.MULTILINE))
    assert set(rows) == {one.name for one in SCENARIOS}
    for one in SCENARIOS:
        assert f"| {bars(one.bar)} |" in rows[one.name]


def test_a_run_was_judged_by_the_bars_of_the_code(recorded: list[Recorded]) -> None:
    """Else the recorded verdicts are of other bars: `make drill-record`."""
    by_name = {one.name: one.bar for one in SCENARIOS}
    assert recorded
    for one in recorded:
        for result in one.run.scenarios:
            assert result.bar == by_name[result.scenario], (one.title, result.scenario)


def test_every_scenario_was_run_somewhere(recorded: list[Recorded]) -> None:
    run = {
        result.scenario for one in recorded for result in one.run.scenarios
        if result.verdict != "not applicable"
    }  # fmt: skip
    # /dev/shm of the machine that records has other users.
    assert run | {"shm-full"} == {one.name for one in SCENARIOS}


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no marks"):
        insert("# Drills\n", TABLE, "table")
