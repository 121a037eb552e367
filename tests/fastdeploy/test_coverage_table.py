"""README.md's table cannot rot: the tests it names exist, and every fault of the twin is in one."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.twin.faults import FAULTS

HERE = Path(__file__).parent
MEASURED = {"1": 20, "2": 4, "4": 15, "8": 9}
"""Rows of each section of the measurement."""


def rows() -> list[tuple[str, str, str]]:
    """(section, what was measured, tests) of each line of the table."""
    all_rows = []
    for line in (HERE / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] not in ("section", "---"):
            all_rows.append((cells[0], cells[1], cells[3]))
    return all_rows


def named(tests: str) -> list[tuple[str, str, list[str]]]:
    """(file, test, what that test must mention) of a cell."""
    pattern = re.compile(r"([\w./]+\.py)::(\w+)(?: \(([^)]*)\))?")
    return [(m[1], m[2], re.findall(r"`([^`]+)`", m[3] or "")) for m in pattern.finditer(tests)]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_table_has_every_section_in_full() -> None:
    count = Counter(section for section, _, _ in rows())
    assert {section: count[section] for section in MEASURED} == MEASURED


@pytest.mark.parametrize(("section", "measured", "tests"), rows())
def test_the_tests_of_a_row_exist(section: str, measured: str, tests: str) -> None:
    assert named(tests), f"no test shows: {measured}"
    for file, name, mentions in named(tests):
        path = (HERE / file).resolve()
        assert path.is_file(), file
        assert name in functions(path), f"{file} has no {name}"
        for word in mentions:
            assert word in path.read_text(), f"{file} does not mention {word}"


def test_every_fault_of_the_twin_is_in_a_test() -> None:
    text = "".join(
        path.read_text() for path in HERE.glob("test_*.py") if path.name != "test_soak.py"
    )
    soaked = (HERE / "test_soak.py").read_text()
    missing = [name for name in FAULTS if name not in text and f'"{name}"' not in soaked]
    answers = [name for name in missing if name.startswith("answer-")]
    assert missing == answers, "answers are what the smoke suite judges, all others are ours"
