"""What `diagnose --json` holds: every field of the answer, in plain JSON types."""

import json

from launcher.diagnose.diagnosis import Diagnosis, Evidence, Finding

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
    assert answer.to_json() == {
        "rule": "ED-Y", "kind": "gpu", "cause": "a cause", "remedy": "a remedy", "retry": False,
        "evidence": EVIDENCE_JSON, "others": [FINDING_JSON], "first_errors": [EVIDENCE_JSON],
        "files": 3, "bytes": 4096, "notes": ["a note"],
    }  # fmt: skip
    assert json.loads(json.dumps(answer.to_json())) == answer.to_json()


def test_an_answer_without_evidence() -> None:
    answer = Diagnosis(None, "unknown", "look", True)
    assert answer.to_json()["evidence"] is None
    assert (answer.to_json()["others"], answer.to_json()["first_errors"]) == ([], [])
    assert Finding("ED-X", "no", "yes", True, "", None).to_json()["evidence"] is None


def test_a_rule_or_an_error_line_makes_it_conclusive() -> None:
    assert Diagnosis("ED-Y", "", "", False).conclusive
    assert Diagnosis(None, "", "", False, first_errors=(EVIDENCE,)).conclusive
    assert not Diagnosis(None, "", "", False, evidence=EVIDENCE).conclusive
