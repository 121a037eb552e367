"""The states of an instance: the documented transitions are those that are checked."""

import json
import re
from pathlib import Path

import pytest

from launcher import lifecycle
from launcher.keeper.state import STATE_SCHEMA, DamagedState, State, read_state
from launcher.lifecycle import FINAL, LIVE, STORED, TRANSITIONS, InstanceState, is_allowed
from tests.support import ROOT


def drawing() -> str:
    """The table as docs/operations.md shows it."""
    lines = [f"{t.source:<9} ──▶ {t.target:<9} {t.event}" for t in TRANSITIONS]
    return "\n".join(lines)


def test_the_operations_page_draws_the_table() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    drawn = re.search(r"```text\n(starting .*?)\n```", page, re.DOTALL)
    assert drawn, "docs/operations.md draws no transitions"
    assert drawn[1] == drawing(), f"draw it so:\n{drawing()}"


def test_every_stored_state_is_reached_and_none_but_the_last_is_a_dead_end() -> None:
    reached = {t.target for t in TRANSITIONS}
    assert set(STORED) <= reached | {InstanceState.STARTING}
    assert set(STORED) - {t.source for t in TRANSITIONS} == {InstanceState.STOPPED}
    assert not set(LIVE) & set(FINAL)


@pytest.mark.parametrize(
    ("source", "target"),
    [("stopped", "ready"), ("failed", "ready"), ("starting", "ready"), ("stopping", "loading"),
     ("ready", "loading"), ("ready", "stopped"), ("stopped", "stopping"), ("loading", "died")],
)  # fmt: skip
def test_what_the_table_does_not_have_is_forbidden(source: str, target: str) -> None:
    assert not is_allowed(InstanceState(source), InstanceState(target))


def test_a_state_is_its_word_in_every_text() -> None:
    ready = InstanceState.READY
    assert json.dumps({"state": ready}) == '{"state": "ready"}'
    assert f"{ready} {ready:<6}|" == "ready ready |"
    assert str(ready) == "ready"
    by_state: dict[str, int] = {ready: 1}
    assert by_state["ready"] == 1, "a key from JSON is a plain text"
    assert ready == "ready"
    assert InstanceState.parse("invented-later") is InstanceState.UNKNOWN


@pytest.mark.parametrize("word", ["lost", "unknown", "invented", "", None, 5])
def test_a_state_that_is_never_stored_is_damage(tmp_path: Path, word: object) -> None:
    data = {"schema": STATE_SCHEMA, "instance": "one", "token": "t", "state": word}
    (tmp_path / "state.json").write_text(json.dumps(data))
    with pytest.raises(DamagedState, match=r"is damaged: .*state"):
        read_state(tmp_path)


def test_without_a_keeper_a_live_state_is_left_as_lost() -> None:
    state = State("one", "t", state=InstanceState.READY)
    assert state.enter(InstanceState.STOPPED, keeper_lives=False) is None
    state = State("one", "t", state=InstanceState.READY)
    assert state.enter(InstanceState.STOPPED) is not None, "a keeper stops it first"


def test_no_room_compares_a_state_with_a_bare_word() -> None:
    """Of the instance's state; `state` in a log rule's `when` is another thing."""
    states = "|".join(state.value for state in lifecycle.InstanceState)
    bare = re.compile(rf"""(state|was|name)["\]]*\)? (==|!=|in|not in) \(?"({states})\"""")
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "launcher").rglob("*.py"))
        if path.parts[-2] not in ("diagnose",)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert not hits
