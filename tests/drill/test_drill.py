"""The verb: refusals, verdicts, reports, and a drill that is interrupted."""

import json
import os
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from launcher.host.processes import look
from tests.drill.conftest import drilled, run_drill, up
from tests.support.rig import Rig
from tests.support.waiting import wait_for


def bars(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bars.yaml"
    path.write_text(text)
    return str(path)


def test_without_yes_nothing_is_broken(rig: Rig) -> None:
    up(rig)
    engine = rig.engine()
    ran = rig.run("drill", "one", "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["not-confirmed"])
    assert rig.engine() == engine
    rig.down()


def test_an_instance_that_is_not_ready_is_refused(rig: Rig) -> None:
    up(rig)
    rig.down()
    ran = run_drill(rig)
    assert (ran.rc, rig.errors(ran)) == (3, ["instance-not-ready"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--scenario", "kill-mian"), "unknown-scenario"),
        (("--bars", "no-such: {detection: 1}"), "bad-bars"),
        (("--bars", "kill-main: {detecton: 1}"), "bad-bars"),
        (("--bars", "kill-main: {detection: soon}"), "bad-bars"),
        (("--bars", "kill-main: 1"), "bad-bars"),
        (("--bars", "[kill-main]"), "bad-bars"),
        (("--bars", "{kill-main"), "bad-bars"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_broken(
    rig: Rig, tmp_path: Path, arguments: tuple[str, str], code: str
) -> None:
    option, value = arguments
    value = bars(tmp_path, value) if option == "--bars" else value
    ran = rig.run("drill", "one", option, value, "--yes", "--json")
    assert (ran.rc, rig.errors(ran)) == (2, [code])


def test_a_list_needs_no_instance(rig: Rig) -> None:
    ran = rig.run("drill", "--list", "--json")
    names = [row["name"] for row in ran.json["data"]["available"]]
    assert {"kill-main", "stop-worker", "client-storm"} <= set(names)
    text = rig.run("drill", "--list").stdout
    assert all(name in text for name in names)


def test_a_drill_that_meets_its_bars_is_0_and_its_run_has_left_nothing(
    rig: Rig, tmp_path: Path
) -> None:
    up(rig)
    generous = bars(tmp_path, "kill-main: {detection: 600, restart: 600}")
    junit = tmp_path / "drill.xml"
    ran = run_drill(
        rig, "--scenario", "kill-main", "--rounds", "2", "--bars", generous, "--junit", str(junit)
    )
    assert ran.rc == 0, ran.output()
    run = ran.json["data"]
    assert [(one["round"], one["verdict"]) for one in run["scenarios"]] == [
        (1, "pass"),
        (2, "pass"),
    ]
    for one in run["scenarios"]:
        assert one["measured"]["event"] == "failure engine-died"
        assert one["measured"]["requests"]["hung"] == 0
        assert one["measured"]["requests"]["answered"] >= 1
        assert one["measured"]["leftovers"] == []
    assert rig.stored()["restarts"] == 2
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "0")
    rig.down()


def test_a_missed_bar_is_1_and_named(rig: Rig, tmp_path: Path) -> None:
    """The planted miss: no keeper sees a death in no time."""
    up(rig)
    junit = tmp_path / "drill.xml"
    strict = bars(tmp_path, "kill-main: {restart: 0.000001}")
    ran = run_drill(rig, "--scenario", "kill-main", "--bars", strict, "--junit", str(junit))
    assert (ran.rc, rig.errors(ran)) == (1, ["bar-missed"])
    (one,) = ran.json["data"]["scenarios"]
    assert one["verdict"] == "miss"
    assert "restart" in [miss["name"] for miss in one["misses"]]
    suite = ElementTree.parse(junit).getroot()[0]
    assert suite.get("failures") == "1"
    rig.down()


def test_an_instance_that_never_restarts_is_brought_up_again(rig: Rig) -> None:
    up(rig, restart={"policy": "never"})
    result = drilled(rig, "kill-main")
    assert "never" in result["note"]
    assert result["measured"]["restart"] is None
    assert "restart" not in [miss["name"] for miss in result["misses"]]
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_a_restart_budget_that_is_used_up_is_renewed(rig: Rig) -> None:
    up(rig, restart={"policy": "on-failure", "max-restarts": 1, "first-delay": 0})
    ran = run_drill(rig, "--scenario", "kill-main", "--rounds", "3")
    results = ran.json["data"]["scenarios"]
    assert [one["measured"]["restart"] is not None for one in results] == [True] * 3, ran.output()
    rig.down()


def test_what_is_not_applicable_says_why_and_is_3_alone(rig: Rig) -> None:
    up(rig)
    ran = run_drill(rig, "--scenario", "kill-worker")
    assert (ran.rc, rig.errors(ran)) == (3, ["nothing-drilled"])
    assert "no worker" in ran.json["data"]["scenarios"][0]["message"]
    rig.down()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_undoes_what_it_did(rig: Rig, number: signal.Signals) -> None:
    up(rig)
    engine = rig.engine()
    arguments = ("--scenario", "stop-front-end", "--yes", "--force", "in-use", "--json")
    process = rig.spawn("drill", "one", *arguments)
    wait_for(lambda: state_of(engine) == "T", "the engine to be stopped")

    os.kill(process.pid, number)

    stdout, stderr = process.communicate(timeout=600)
    envelope = json.loads(stdout)
    assert process.returncode == 128 + number, stderr
    assert [error["code"] for error in envelope["errors"]] == ["interrupted"], stderr
    assert state_of(engine) == "S"
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_a_second_drill_is_refused(rig: Rig) -> None:
    up(rig)
    engine = rig.engine()
    arguments = ("--scenario", "stop-front-end", "--yes", "--force", "in-use", "--json")
    process = rig.spawn("drill", "one", *arguments)
    wait_for(lambda: state_of(engine) == "T", "the engine to be stopped")
    ran = run_drill(rig, "--scenario", "kill-main")
    assert (ran.rc, rig.errors(ran)) == (3, ["drill-running"])
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=600)
    rig.down()


def test_a_drill_that_is_killed_undoes_what_it_did(rig: Rig) -> None:
    up(rig)
    engine = rig.engine()
    process = rig.spawn(
        "drill", "one", "--scenario", "stop-front-end", "--yes", "--force", "in-use"
    )
    wait_for(lambda: state_of(engine) == "T", "the engine to be stopped")
    rig.kill(process.pid)
    process.communicate(timeout=600)
    wait_for(lambda: state_of(engine) == "S", "the engine to continue")
    rig.down()


def state_of(pid: int) -> str:
    process = look(pid)
    return process.state if process is not None else ""
