"""What `diagnose --json` holds: every field of the answer, in plain JSON types."""

from launcher.diagnose.diagnosis import Diagnosis, Evidence, Finding
from tests.support.as_json import as_json

EVIDENCE = Evidence("engine.log", 7, "ValueError: no", 12.5)
EVIDENCE_JSON = {"file": "engine.log", "line": 7, "text": "ValueError: no", "time": 12.5}
FINDING = Finding("ED-X", "no", "yes", True, "model", EVIDENCE)
FINDING_JSON = {
    "rule": "ED-X", "kind": "model", "cause": "no", "remedy": "yes", "retry": True,
    "evidence": EVIDENCE_JSON,
}  # fmt: skip


def test_a_full_answer() -> None:
    answer = Diagnosis(
        "ED-Y", "a cause", "a remedy", False, "gpu", EVIDENCE, (FINDING,), (EVIDENCE,), 3, 4096,
        ("a note",),
    )  # fmt: skip
    assert as_json(answer) == {
        "rule": "ED-Y", "kind": "gpu", "cause": "a cause", "remedy": "a remedy", "retry": False,
        "evidence": EVIDENCE_JSON, "alternatives": [FINDING_JSON], "first_errors": [EVIDENCE_JSON],
        "files": 3, "bytes": 4096, "notes": ["a note"],
    }  # fmt: skip


def test_an_answer_without_evidence() -> None:
    answer = Diagnosis(None, "unknown", "look", True)
    assert as_json(answer)["evidence"] is None
    assert (as_json(answer)["alternatives"], as_json(answer)["first_errors"]) == ([], [])
    assert (as_json(answer)["files"], as_json(answer)["bytes"]) == (0, 0)
    assert as_json(Finding("ED-X", "no", "yes", True, "", None))["evidence"] is None


def test_an_answer_can_have_another_rule_as_its_first_cause_or_none() -> None:
    answer = Diagnosis("ED-Y", "a cause", "a remedy", True, "gpu", EVIDENCE, notes=("a note",))
    assert answer.first is not None
    second = answer.with_first(FINDING, (answer.first,))
    assert second.first == FINDING
    assert second.alternatives == (answer.first,)
    assert second.with_first(answer.first, ()) == answer
    none = answer.with_first(None, ())
    assert none == Diagnosis(None, "", "", False, notes=("a note",))
    assert none.first is None


def test_a_rule_or_an_error_line_makes_it_conclusive() -> None:
    assert Diagnosis("ED-Y", "", "", False).conclusive
    assert Diagnosis(None, "", "", False, first_errors=(EVIDENCE,)).conclusive
    assert not Diagnosis(None, "", "", False, evidence=EVIDENCE).conclusive
