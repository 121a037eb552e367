"""What each probe answers in each state, as docs/monitoring.md tells it."""

from __future__ import annotations

import re

import pytest

from launcher.keeper.admin.probes import LONGEST_REASON, PROBES, Answer
from launcher.keeper.state import LivenessRecord, RestartRecord, State
from launcher.lifecycle import STORED, InstanceState
from launcher.liveness.judge import Liveness
from tests.support import ROOT

NAMES = {"/livez": "live", "/readyz": "ready", "/startupz": "startup"}


def state_of(state: InstanceState, verdict: Liveness | None = None, **fields: object) -> State:
    liveness = LivenessRecord(verdict, 0.0, ("the reason",)) if verdict else None
    was_ready = state in (InstanceState.READY, InstanceState.STOPPING)
    values = {"ready_at": 5.0 if was_ready else None, "liveness": liveness, **fields}
    return State("one", "one:token", state, **values)  # type: ignore[arg-type]


ROWS: dict[str, list[tuple[State, bool]]] = {
    "starting, loading": [
        (state_of(InstanceState.STARTING), False),
        (state_of(InstanceState.LOADING), True),
    ],
    "ready, and idle or busy": [
        (state_of(InstanceState.READY), True),
        (state_of(InstanceState.READY, Liveness.IDLE), True),
        (state_of(InstanceState.READY, Liveness.BUSY), True),
    ],
    "ready, and paused": [(state_of(InstanceState.READY, Liveness.PAUSED), True)],
    "ready, and stalled or dead": [
        (state_of(InstanceState.READY, Liveness.STALLED), True),
        (state_of(InstanceState.READY, Liveness.DEAD), True),
    ],
    "stopping, and the engine still runs": [
        (state_of(InstanceState.STOPPING), True),
        (state_of(InstanceState.STOPPING, Liveness.STALLED), True),
        (state_of(InstanceState.STOPPING, ready_at=None), True),
    ],
    "without an engine: it has ended, and a restart follows": [
        (state_of(InstanceState.STARTING, restarts=2), False),
        (state_of(InstanceState.LOADING), False),
    ],
}
"""The rows of the table, each with states (and whether the engine lives) that are in it."""


def expected(cell: str, state: State) -> bool:
    return state.ready_at is not None if "if it was ready" in cell else cell == "200"


def documented() -> dict[str, dict[str, str]]:
    """Row to path to cell."""
    text = (ROOT / "docs" / "monitoring.md").read_text()
    section = text.partition("## What the probes mean")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in re.findall(r"^\|.*\|$", section, re.M)]
    paths = [path.strip("`") for path in rows[0][1:]]
    return {row[0]: dict(zip(paths, row[1:], strict=True)) for row in rows[2:]}


def test_the_page_has_the_rows() -> None:
    assert set(documented()) == set(ROWS)
    assert all(set(cells) == set(NAMES) for cells in documented().values())


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("path", NAMES)
def test_a_probe_answers_as_the_page_says(row: str, path: str) -> None:
    for state, lives in ROWS[row]:
        answer = PROBES[NAMES[path]](state, lives)
        assert answer.ok is expected(documented()[row][path], state), (state.state, answer)


def test_the_reason_names_the_verdict_or_the_phase() -> None:
    stalled = state_of(InstanceState.READY, Liveness.STALLED)
    loading = state_of(InstanceState.LOADING, phase="weights", percent=40.2)
    coming = RestartRecord(number=2, limit=5, window=600.0, delay=4.0, at=9.0)
    restart = state_of(InstanceState.STARTING, restarts=7, restart=coming)
    assert PROBES["live"](stalled, True).reason == "stalled: the reason"
    assert PROBES["ready"](loading, True).reason == "loading: phase weights 40 %"
    assert PROBES["live"](restart, False).reason == (
        "starting: the engine has ended; restart 2 of 5"
    )


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("state", STORED)
@pytest.mark.parametrize("lives", [True, False])
def test_every_state_has_an_answer_with_a_reason(
    kind: str, state: InstanceState, lives: bool
) -> None:
    assert PROBES[kind](state_of(state), lives).reason


@pytest.mark.parametrize("state", [s for s in STORED if s is not InstanceState.READY])
def test_only_a_ready_instance_is_ready_and_an_old_verdict_counts_for_nothing(
    state: InstanceState,
) -> None:
    assert not PROBES["ready"](state_of(state, Liveness.IDLE), True).ok
    assert "the reason" not in PROBES["live"](state_of(state, Liveness.STALLED), True).reason


def test_a_reason_is_one_short_line_whatever_it_quotes() -> None:
    answer = Answer(False, "stalled:\r\nSet-Cookie: x\x1b[2J\0\n\n" + "y" * 5000)
    assert answer.reason.startswith("stalled: Set-Cookie: x yyy")
    assert len(answer.reason) == LONGEST_REASON
    assert answer.reason.isprintable()
