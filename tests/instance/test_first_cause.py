"""What the keeper decided for certain is what `diagnose` shows, whatever else the logs hold."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.codec import encode
from launcher.diagnose import log_lengths
from launcher.errors import ExitCode
from launcher.files import lengths
from launcher.instance.first_cause import first_cause
from launcher.instance.store import InstanceDir
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.events import Events
from launcher.keeper.identity import this_host
from launcher.keeper.state import State, write_state
from launcher.plan.model import FailureRule, LaunchPlan
from tests.support.as_json import as_json
from tests.support.decoded import JsonDict

RULES = (
    FailureRule("ED-X-CAUSE", "ValueError: layer 7", "layer 7 is bad", "fix it", retry=True),
    FailureRule("ED-X-OTHER", "OSError: no disk", "no disk", "add one", fatal=False),
)


UNKNOWN = """\
INFO loading
ERROR    2026-01-01 10:00:00 17 engine.py[line:155] a line that no rule knows
Traceback (most recent call last):
  File "engine.py", line 168, in start
    time.sleep(1)
UnheardOfError: stop
"""


def stop_event(instance_: InstanceDir, reason: str) -> None:
    events = Events(instance_.folder)
    events.append("stop", reason=reason)
    events.close()


@pytest.mark.parametrize("reason", ["interrupted", "down", "SIGTERM", "SIGINT", "restart"])
@pytest.mark.parametrize("ready_at", [None, 2.0])
@pytest.mark.parametrize("exit_code", [1, -2, -9, 0])
def test_an_end_that_was_ordered_is_no_fault_of_unknown_lines(
    reason: str, ready_at: float | None, exit_code: int, tmp_path: Path
) -> None:
    """The real front end, interrupted in its load, leaves with 1 or -2 and a traceback."""
    cause = instance(
        tmp_path, UNKNOWN, state="stopped", ready_at=ready_at, engine_exit=exit_code,
        exit_is_ours=True,
    )  # fmt: skip
    stop_event(cause, reason)
    result = first_cause(cause)
    assert result.exit_code is ExitCode.DONE
    assert as_json(result.payload)["cause"].startswith("one was stopped")
    assert (as_json(result.payload)["rule"], as_json(result.payload)["first_errors"]) == (None, [])
    assert "no rule knows" in " ".join(as_json(result.payload)["notes"]) or ready_at


def test_a_known_fault_before_the_order_is_still_one(tmp_path: Path) -> None:
    cause = instance(tmp_path, "ValueError: layer 7\n", state="stopped")
    stop_event(cause, "interrupted")
    result = first_cause(cause)
    assert (result.exit_code, as_json(result.payload)["rule"]) == (ExitCode.NEGATIVE, "ED-X-CAUSE")


def test_unknown_lines_of_a_failed_one_are_its_cause(tmp_path: Path) -> None:
    data = {k: v for k, v in error("engine-exited").items() if k != "certain"}
    cause = instance(tmp_path, UNKNOWN, state="failed", error=data)
    result = first_cause(cause)
    assert result.exit_code is ExitCode.NEGATIVE
    assert as_json(result.payload)["first_errors"]


def instance(folder: Path, lines: str, **state: Any) -> InstanceDir:
    """A stored instance whose engine wrote `lines`."""
    new_instance = InstanceDir(folder / "one")
    own = new_instance.logs / "engine"
    own.mkdir(parents=True)
    plan = LaunchPlan(
        "one", "fastdeploy", "2.4.0", ("/bin/true",), "/", str(own), str(folder / "tmp"),
        failure_rules=RULES,
    )  # fmt: skip
    (new_instance.folder / "plan.json").write_text(json.dumps(encode(plan)))
    here = this_host()
    write_state(
        new_instance.folder,
        State("one", "one:1", machine=here.machine, boot=here.boot,
              pid_namespace=here.pid_namespace, started_at=1.0, **state),
    )  # fmt: skip
    new_instance.engine_log.write_text(lines)
    return new_instance


def error(code: str, **more: object) -> JsonDict:
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
    data = as_json(result.payload)
    assert result.exit_code is ExitCode.NEGATIVE
    assert (data["rule"], data["evidence"], data["retry"]) == (None, None, False)
    assert (data["cause"], data["remedy"]) == (f"one has failed: why: {code}", "do it")
    assert {one["rule"] for one in data["alternatives"]} == {
        rule.id for rule in RULES if rule.pattern in lines
    }


def test_a_certain_line_is_the_rule_that_the_keeper_saw(tmp_path: Path) -> None:
    """The keeper gave up by this line; an earlier one of another rule does not replace it."""
    lines = "OSError: no disk\nValueError: layer 7\n"
    cause = instance(tmp_path, lines, state="failed", error=error("ED-X-CAUSE"))
    data = as_json(first_cause(cause).payload)
    assert (data["rule"], data["cause"]) == ("ED-X-CAUSE", "layer 7 is bad")
    assert [one["rule"] for one in data["alternatives"]] == ["ED-X-OTHER"]
    assert data["retry"] is False, "what the keeper decided"


@pytest.mark.parametrize("certain", [{"certain": False}, {}])
def test_where_it_is_not_certain_the_logs_say_why(
    certain: dict[str, object], tmp_path: Path
) -> None:
    """As a record of an older keeper, which does not tell."""
    data = {k: v for k, v in error("engine-exited").items() if k != "certain"} | certain
    cause = instance(tmp_path, "ValueError: layer 7\n", state="failed", error=data)
    assert first_cause(cause).payload.diagnosis.rule_id == "ED-X-CAUSE"


@pytest.mark.parametrize("state", ["ready", "loading", "stopped"])
def test_of_a_killed_keeper_its_guards_note_counts(state: str, tmp_path: Path) -> None:
    cause = instance(tmp_path, "INFO loading\n", state=state, keeper=ProcessClaim(1, 1))
    log_lengths.write(cause.logs, "one:1", lengths(cause.logs))
    with cause.engine_log.open("a") as log:
        log.write("ValueError: layer 7\n")
    data = as_json(first_cause(cause).payload)
    assert (data["rule"], data["alternatives"]) == (None, [])
    os.unlink(cause.logs / log_lengths.NAME)
    log_lengths.write(cause.logs, "one:0", {})
    assert first_cause(cause).payload.diagnosis.rule_id == "ED-X-CAUSE", (
        "the note is another start's"
    )
