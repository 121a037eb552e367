"""`ernie-deploy probe`: exit codes and one line of reason, for exec probes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from launcher.instance.probe import TIMEOUT, probe
from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject
from launcher.keeper import requests
from launcher.lifecycle import InstanceState
from tests.support.keeping import Keeping
from tests.support.rig import Rig
from tests.support.waiting import wait_for

KINDS = ("--live", "--ready", "--startup")


def test_a_ready_instance_passes_each_probe_with_one_line(rig: Rig) -> None:
    profile = rig.profile()
    assert rig.run("up", profile).rc == 0
    wait_for(lambda: rig.run("probe", "one", "--live").stdout != "ready\n", "the first verdict")
    reasons = ("idle: it answers", "idle: it answers", "started: it was ready")
    for kind, reason in zip(KINDS, reasons, strict=True):
        ran = rig.run("probe", "one", kind)
        assert (ran.rc, ran.stdout, ran.stderr) == (0, f"{reason}\n", "")
    data = rig.run("probe", profile, "--ready", "--json").json["data"]
    assert data == {"probe": "ready", "passed": True, "reason": "idle: it answers"}
    rig.down()


def test_a_loading_instance_is_live_and_not_ready(rig: Rig) -> None:
    go = rig.path("go")
    before = [{"print": "PHASE weights 40%"}, {"wait": go}]
    starting = rig.spawn("up", rig.profile(script={"before": before}))
    wait_for(lambda: rig.stored().get("phase") == "weights", "the phase")
    assert rig.run("probe", "one", "--live").rc == 0
    ran = rig.run("probe", "one", "--ready")
    assert (ran.rc, ran.stdout) == (1, "")
    assert ran.stderr == "ernie-deploy: one: loading: phase weights 40 %\n"
    as_json = rig.run("probe", "one", "--startup", "--json")
    assert (as_json.rc, rig.errors(as_json)) == (1, ["probe-negative"])
    assert as_json.json["data"]["passed"] is False
    Path(go).touch()
    assert starting.wait(600) == 0
    rig.down()


def test_without_a_keeper_it_is_a_precondition(rig: Rig) -> None:
    rig.up()
    rig.down()
    stopped = rig.run("probe", "one", "--live", "--json")
    assert (stopped.rc, rig.errors(stopped)) == (3, ["no-keeper"])
    assert "one is stopped" in stopped.json["errors"][0]["message"]
    absent = rig.run("probe", "other", "--live", "--json")
    assert (absent.rc, rig.errors(absent)) == (2, ["unknown-instance"])


def test_a_keeper_that_hangs_is_given_up_in_time(rig: Rig) -> None:
    rig.up()
    with rig.paused_keeper():
        ran = rig.run("probe", "one", "--live", "--timeout", "200ms", "--json")
    assert (ran.rc, rig.errors(ran)) == (5, ["keeper-timeout"])
    assert "within 0.2 s" in ran.json["errors"][0]["message"]
    rig.down()


def test_a_stopped_engine_does_not_hold_it_up(rig: Rig) -> None:
    rig.up()
    os.kill(rig.engine(), signal.SIGSTOP)
    try:
        assert rig.run("probe", "one", "--startup").rc == 0
    finally:
        os.kill(rig.engine(), signal.SIGCONT)
    rig.down()


@pytest.mark.parametrize(
    "arguments",
    [
        ["one"],
        ["one", "--live", "--ready"],
        ["--live"],
        ["one", "two", "--live"],
        ["one", "--live", "--timeout", "0"],
        ["one", "--live", "--timeout", "1d"],
        ["one", "--live", "--timeout", "nan"],
        ["one", "--started"],
    ],
)
def test_a_wrong_command_line_is_usage(rig: Rig, arguments: list[str]) -> None:
    ran = rig.run("probe", *arguments)
    assert (ran.rc, ran.stdout) == (2, ""), ran.output()


def test_a_keeper_of_before_there_were_probes_is_judged_by_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = requests.answer

    def older(request: JsonObject, *rest: object) -> JsonObject:
        if request.get("op") == "probe":
            return {"ok": False, "error": "unknown op 'probe'"}
        return answer(request, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(requests, "answer", older)
    folder = tmp_path / "one"
    keeper = Keeping(folder)
    try:
        keeper.state.state = InstanceState.READY
        keeper.state.ready_at = 1.0
        assert probe(InstanceDir(folder), "ready", 60).payload.passed
        assert probe(InstanceDir(folder), "startup", 60).payload.passed
        keeper.state.state = InstanceState.STOPPING
        assert probe(InstanceDir(folder), "ready", 60).exit_code == 1
    finally:
        keeper.close()
    assert TIMEOUT < 5, "shorter than the period of a probe"
