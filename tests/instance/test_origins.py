"""Where a value came from is known after the start, and after a restart by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.instance.origins import FILE, origins_text, read_origins
from launcher.instance.store import InstanceDir
from launcher.profile.model import Origin, Profile


@pytest.fixture
def instance(tmp_path: Path) -> InstanceDir:
    return InstanceDir(tmp_path)


def start(instance: InstanceDir, **origins: Origin) -> None:
    profile = Profile("one", "scripted", "tiny", origins=origins)
    (instance.folder / FILE).write_text(origins_text(instance, profile))


def test_every_value_has_its_place(instance: InstanceDir) -> None:
    origins = {"model": Origin("a.yaml", 3, 1), "host": Origin("default")}
    start(instance, **origins)
    assert read_origins(instance) == origins


def test_a_restart_by_name_keeps_the_places_of_the_first_start(instance: InstanceDir) -> None:
    """It reads `profile.json`, which has every value put in: that is not an origin for a reader."""
    start(instance, model=Origin("a.yaml", 3, 1), host=Origin("default"))
    own = str(instance.folder / "profile.json")
    start(instance, model=Origin(own, 2, 1), host=Origin("--set"), port=Origin(own, 5, 1))
    assert read_origins(instance) == {
        "model": Origin("a.yaml", 3, 1),
        "host": Origin("--set"),
        "port": Origin(own, 5, 1),
    }


@pytest.mark.parametrize("text", [None, "", "[]", '{"model": 7}', '{"model": {"line": "x"}}'])
def test_without_a_record_no_origin_is_known(instance: InstanceDir, text: str | None) -> None:
    if text is not None:
        (instance.folder / FILE).write_text(text)
    assert read_origins(instance) == {}


def test_the_record_is_plain_json(instance: InstanceDir) -> None:
    start(instance, model=Origin("a.yaml", 3, 1, "extends"))
    document = json.loads((instance.folder / FILE).read_text())
    assert document["model"] == {"source": "a.yaml", "line": 3, "column": 1, "note": "extends"}
