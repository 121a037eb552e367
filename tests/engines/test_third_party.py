"""An engine of a third party, `tests/support/parrot`, is as complete as one of ours.

It is known by its entry point only, and uses nothing but the Protocol.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import cli, processes
from tests.support.parrot import engine


class Zoo:
    """Commands with the parrot installed."""

    def __init__(self, home: Path, folder: Path, pythonpath: str) -> None:
        self.home = home
        self.folder = folder
        self.env: dict[str, str | None] = {"PYTHONPATH": pythonpath, "NOTIFY_SOCKET": None}

    def profile(self, **keys: Any) -> str:
        """A profile's path."""
        path = self.folder / "polly.yaml"
        defaults = {"name": "polly", "engine": "parrot", "model": "zoo/grey-parrot"}
        path.write_text(json.dumps({**defaults, "python": sys.executable, **keys}))
        return str(path)

    def run(self, *arguments: str) -> cli.Ran:
        """A command to its end."""
        return cli.run(*arguments, home=self.home, env=self.env)


@pytest.fixture
def zoo(home: Path, tmp_path: Path) -> Iterator[Zoo]:
    """A state directory in which only the parrot runs."""
    with engine.registered(tmp_path) as pythonpath:
        yield Zoo(home, tmp_path, pythonpath)


def test_it_is_validated_planned_and_examined(zoo: Zoo) -> None:
    working, broken = zoo.profile(), "--set=engine-args.wings=2"
    validated = zoo.run("validate", working, "--json")
    assert validated.rc == 0, validated.output()
    assert "parrots need no GPU" in validated.json["data"]["notes"]
    assert [e["code"] for e in zoo.run("validate", working, broken, "--json").json["errors"]] == [
        "unknown-flag"
    ]

    plan = zoo.run("plan", working, "--json").json["data"]["plan"]
    assert plan["engine"] == "parrot"
    assert "ED-PARROT-PERCH" in [rule["id"] for rule in plan["failure_rules"]]
    assert plan["log_rules"]["private"] == ["secrets.log"]

    memory = zoo.run("plan", working, "--memory", "--gpu", "h800-80g", "--json")
    assert memory.rc == 0, memory.output()
    assert memory.json["data"]["prediction"]["blocks"] == 10_000

    narrow = zoo.run("doctor", working, "--set=engine-args.perch=2", "--json")
    answers = {f["check"]: f["status"] for f in narrow.json["data"]["findings"]}
    assert answers["perch"] == "FAIL"
    assert answers["timeouts"] == "UNKNOWN"  # its own start is known, the model's size is not
    assert answers["ports"] == answers["engine"] == "PASS"
    assert not {"paddle-build", "queue-low-byte", "exposed-queues", "gpu-count"} & set(answers)


@pytest.mark.parametrize(
    ("source", "why"),
    [("import nothing_like_it", "ModuleNotFoundError"), ("ENGINE = object()", "it has no ")],
)
def test_a_broken_one_is_named_and_keeps_no_other_from_working(
    source: str, why: str, zoo: Zoo
) -> None:
    (zoo.folder / "broken_bird.py").write_text(source + "\n")
    info = zoo.folder / "broken_bird-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-bird\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ernie_deploy.engines]\nbird = broken_bird:ENGINE\n")
    ran = zoo.run("validate", zoo.profile(engine="bird"), "--json")
    assert ran.rc == 3, ran.output()
    assert [e["code"] for e in ran.json["errors"]] == ["broken-engine"]
    assert why in ran.json["errors"][0]["message"]
    assert zoo.run("validate", zoo.profile()).rc == 0
    assert zoo.run("explain", "ED-PARROT-PERCH").rc == 0


def test_its_pages_are_explained(zoo: Zoo) -> None:
    rule = zoo.run("explain", "ED-PARROT-PERCH", "--json").json["data"]["page"]
    assert rule["engine"] == "parrot"
    assert zoo.run("explain", "perch", "--json").json["data"]["page"]["kind"] == "check"


def test_it_starts_serves_is_proved_and_leaves_nothing(zoo: Zoo) -> None:
    up = zoo.run("up", zoo.profile(), "--json")
    assert up.rc == 0, up.output()
    try:
        status = zoo.run("status", "polly", "--json").json["data"]
        assert status["instances"][0]["state"] == "ready"
        smoke = zoo.run("smoke", "polly", "--json")
        verdicts = {c["name"]: c["verdict"] for c in smoke.json["data"]["checks"]}
        assert "pass" in verdicts.values(), smoke.output()
        url = status["instances"][0]["base_url"].removesuffix("/v1")
        smoke_run = zoo.run("smoke", url, "--json").json["data"]
        assert smoke_run["target"]["engine"] == "parrot", "recognised by its model list"
    finally:
        down = zoo.run("down", "polly", "--json")
    assert down.rc == 0, down.output()
    assert not processes.of_home(zoo.home)


def test_its_own_rule_names_its_failure(zoo: Zoo) -> None:
    failed = zoo.run("up", zoo.profile(**{"engine-args": {"perch": 2}}), "--force=perch", "--json")
    assert failed.rc == 4, failed.output()
    assert "too narrow" in json.dumps(failed.json["errors"])
    diagnosed = zoo.run("diagnose", "polly", "--json").json["data"]
    assert diagnosed["rule"] == "ED-PARROT-PERCH"
    assert diagnosed["cause"] == "the perch of 2 cm is too narrow"
    logs = str(zoo.home / "instances" / "polly" / "logs")
    assert zoo.run("diagnose", "--logs", logs, "--json").json["data"]["rule"] == "ED-PARROT-PERCH"
    assert zoo.run("down", "polly").rc == 0
    assert not processes.of_home(zoo.home)
