"""Incidents are found by ID, by its beginning, and as the last one."""

import json
import time
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.instance.store import InstanceDir
from launcher.keeper import incident
from launcher.keeper.incident import Incident
from launcher.observe.incidents import incident_ids, list_incidents, show_incident

OLD, NEW = "20260101-000000-000aa", "20260102-000000-000bb"


def make(home: Path, key: str, instance: str = "one", **fields: object) -> InstanceDir:
    """An instance with an incident."""
    folder = home / "instances" / instance
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    one = Incident(key, "failure", instance, now, now - 1, "engine-died", f"{key} happened")
    incident.create(folder, one)
    return InstanceDir(folder)


def test_the_newest_comes_first_over_all_instances(home: Path) -> None:
    both = [make(home, OLD, "one"), make(home, NEW, "two")]
    rows = list_incidents(both, None).payload.incidents
    assert [row.incident.id for row in rows] == [NEW, OLD]
    assert rows[0].folder == str(home / "instances" / "two" / "incidents" / NEW)
    assert incident_ids(both) == [NEW, OLD]
    assert [r.incident.id for r in list_incidents(both[:1], "one").payload.incidents] == [OLD]


@pytest.mark.parametrize(("key", "expected"), [("last", NEW), (NEW, NEW), ("20260101", OLD)])
def test_one_is_shown_with_its_files(home: Path, key: str, expected: str) -> None:
    instances = [make(home, OLD), make(home, NEW)][:1]
    page = show_incident(instances, key, None)
    assert page.payload.row.incident.id == expected
    (file,) = page.payload.files
    assert file.path.endswith(f"{expected}/incident.json")
    assert file.size == Path(file.path).stat().st_size
    assert page.instance == "one"


@pytest.mark.parametrize(
    ("key", "code"),
    [("2026", "ambiguous-incident"), ("", "ambiguous-incident"), ("2027", "unknown-incident"),
     ("../one", "unknown-incident"), (f"{NEW}x", "unknown-incident")],
)  # fmt: skip
def test_what_is_not_one_incident_is_refused(home: Path, key: str, code: str) -> None:
    instances = [make(home, OLD, "one"), make(home, NEW, "two")]
    with pytest.raises(UsageError) as refused:
        show_incident(instances, key, None)
    assert refused.value.problems[0].code == code


def test_without_any_the_last_is_unknown(home: Path) -> None:
    with pytest.raises(UsageError) as refused:
        show_incident([], "last", None)
    assert refused.value.problems[0].code == "unknown-incident"


def test_what_cannot_be_read_is_named(home: Path) -> None:
    instance = make(home, OLD)
    path = instance.folder / "incidents" / OLD / "incident.json"
    document = json.loads(path.read_text())
    for text in ("{", json.dumps({**document, "schema": "ernie-deploy/incident/9"}), "[" * 99999):
        path.write_text(text)
        listed = list_incidents([instance], None).payload
        assert (listed.incidents, listed.unreadable) == ((), (str(path.parent),))
        with pytest.raises(UsageError) as refused:
            show_incident([instance], OLD, None)
        assert refused.value.problems[0].code == "unreadable-incident"
    path.write_text(json.dumps({**document, "a_field_of_tomorrow": 1}))
    assert list_incidents([instance], None).payload.unreadable == ()
