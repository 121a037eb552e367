"""Logs that public threads showed, with the cause that each thread established.

`cases/*.json`: the thread (`source`), the engine, the logs as the engine would have written them
(personal details replaced), the true cause, and `rules`: those that say it. A case without rules
is a healthy server. A wrong cause is worse than none.
"""

import json
from pathlib import Path

import pytest

from launcher.diagnose import Diagnosis, of_folder
from tests.support.decoded import JsonDict

CASES = {p.stem: json.loads(p.read_text()) for p in Path(__file__).parent.glob("cases/*.json")}


def diagnosed(case: JsonDict, folder: Path, engine: str | None) -> Diagnosis:
    for name, lines in case["logs"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return of_folder(folder, engine)


def judgement(case: JsonDict, answer: Diagnosis) -> str:
    """Right, partly (the rule is among the others), unrecognised, or wrong."""
    if answer.rule_id in case["rules"] or not (case["rules"] or answer.conclusive):
        return "right"
    if not case["rules"] or answer.kind in ("failure", "request", "symptom"):
        rest = {finding.rule_id for finding in answer.alternatives}
        return "partly" if rest & set(case["rules"]) else "wrong"
    return "unrecognised"


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_cause_that_the_thread_established(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    answer = diagnosed(case, tmp_path, case["engine"])
    assert judgement(case, answer) == "right", (case["true_cause"], answer)
    assert "{" not in answer.cause.replace("{'", ""), "a placeholder"


@pytest.mark.parametrize("name", sorted(CASES))
def test_without_the_engines_name_nothing_wrong_is_said(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    answer = diagnosed(case, tmp_path, None)
    assert judgement(case, answer) != "wrong", (case["true_cause"], answer)
