"""What the keeper decided for certain is what `diagnose` shows, whatever else the logs hold."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.diagnose import log_lengths
from launcher.errors import ExitCode
from launcher.files import lengths
from launcher.instance.first_cause import first_cause
from launcher.instance.store import InstanceDir
from launcher.keeper.identity import this_host
from launcher.keeper.state import State, write_state
from launcher.plan.model import FailureRule, LaunchPlan

RULES = (
    FailureRule("ED-X-CAUSE", "ValueError: layer 7", "layer 7 is bad", "fix it", retry=True),
    FailureRule("ED-X-OTHER", "OSError: no disk", "no disk", "add one", fatal=False),
)


def instance(folder: Path, lines: str, **state: Any) -> InstanceDir:
    """A stored instance whose engine wrote `lines`."""
    instance_ = InstanceDir(folder / "one")
    own = instance_.logs / "engine"
    own.mkdir(parents=True)
    plan = LaunchPlan(
        "one", "fastdeploy", "2.4.0", ("/bin/true",), "/", str(own), str(folder / "tmp"),
        failure_rules=RULES,
    )  # fmt: skip
    (instance_.folder / "plan.json").write_text(json.dumps(plan.to_json()))
    here = this_host()
    write_state(
        instance_.folder,
        State("one", "one:1", machine=here.machine, boot=here.boot,
              pid_namespace=here.pid_namespace, started_at=1.0, **state),
    )  # fmt: skip
    instance_.engine_log.write_text(lines)
    return instance_


def error(code: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "message": f"why: {code}", "where": None, "remedy": "do it",
            "retry": False, "certain": True, **more}  # fmt: skip


@pytest.mark.parametrize(
    "code", ["no-progress", "startup-timeout", "settings", "port-taken-while-loading"]
)
@pytest.mark.parametrize(
    "lines", ["", "ValueError: layer 7\n", "OSError: no disk\nValueError: layer 7\n", "KeyError: 1"]
)
def test_a_certain_verdict_is_not_outranked_by_a_line(
    code: str, lines: str, tmp_path: Path
) -> None:
    cause = instance(tmp_path, lines, state="failed", error=error(code))
    result = first_cause(cause)
    data = result.data
    assert result.exit_code is ExitCode.NEGATIVE
    assert (data["rule"], data["evidence"], data["retry"]) == (None, None, False)
    assert (data["cause"], data["remedy"]) == (f"one has failed: why: {code}", "do it")
    assert {one["rule"] for one in data["others"]} == {
        rule.id for rule in RULES if rule.pattern in lines
    }


def test_a_certain_line_is_the_rule_that_the_keeper_saw(tmp_path: Path) -> None:
    """The keeper gave up by this line; an earlier one of another rule does not replace it."""
    lines = "OSError: no disk\nValueError: layer 7\n"
    cause = instance(tmp_path, lines, state="failed", error=error("ED-X-CAUSE"))
    data = first_cause(cause).data
    assert (data["rule"], data["cause"]) == ("ED-X-CAUSE", "layer 7 is bad")
    assert [one["rule"] for one in data["others"]] == ["ED-X-OTHER"]
    assert data["retry"] is False, "what the keeper decided"


@pytest.mark.parametrize("certain", [{"certain": False}, {}])
def test_where_it_is_not_certain_the_logs_say_why(certain: dict[str, Any], tmp_path: Path) -> None:
    """As a record of an older keeper, which does not tell."""
    data = {k: v for k, v in error("engine-exited").items() if k != "certain"} | certain
    cause = instance(tmp_path, "ValueError: layer 7\n", state="failed", error=data)
    assert first_cause(cause).data["rule"] == "ED-X-CAUSE"


@pytest.mark.parametrize("state", ["ready", "loading", "stopped"])
def test_of_a_killed_keeper_its_guards_note_counts(state: str, tmp_path: Path) -> None:
    cause = instance(tmp_path, "INFO loading\n", state=state, keeper={"pid": 1, "start": 1})
    log_lengths.write(cause.logs, "one:1", lengths(cause.logs))
    with cause.engine_log.open("a") as log:
        log.write("ValueError: layer 7\n")
    data = first_cause(cause).data
    assert (data["rule"], data["others"]) == (None, [])
    os.unlink(cause.logs / log_lengths.NAME)
    log_lengths.write(cause.logs, "one:0", {})
    assert first_cause(cause).data["rule"] == "ED-X-CAUSE", "the note is another start's"
