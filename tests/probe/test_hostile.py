"""The probe against every hostile server: each rung ends in time, and what it keeps can be kept."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from launcher.plan.model import LaunchPlan, PortUse, Readiness, SettingCheck
from launcher.probe import readiness
from launcher.probe.http import NotHttpError
from launcher.probe.readiness import Rung
from launcher.probe.request import ask
from tests.support.hostile import hostile
from tests.support.hostile.mechanisms import every, unbounded

SECONDS = 0.4
LATE = 5.0
"""Seconds beyond it on a slow machine; a server that is not bounded never ends."""
MEMORY = 60 << 20


def plan_of(port: int) -> LaunchPlan:
    return LaunchPlan(
        instance="one", engine="scripted", release="1.0", argv=("/bin/true",), cwd="/",
        log_folder="/nowhere", temporary_folder="/nowhere",
        ports=(PortUse("api", port, "127.0.0.1"),),
        readiness=Readiness(
            "127.0.0.1", model="tiny", completion={"model": "tiny"}, settings_path="/settings",
            settings=(SettingCheck("max-model-len", 5, "data"),),
        ),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question of the ladder has to be answered within `SECONDS`."""

    def quick(*args: Any, **params: Any) -> Any:
        return ask(*args, **{**params, "timeout": SECONDS})

    monkeypatch.setattr(readiness, "ask", quick)


@pytest.mark.parametrize("behaviour", every())
def test_every_rung_ends_in_time_with_evidence_that_can_be_written(behaviour: str) -> None:
    with hostile(behaviour) as server:
        plan = plan_of(server.port)
        rungs: list[Rung] = []
        questions: tuple[Callable[[], Rung], ...] = (
            lambda: readiness.health(plan.readiness, server.port),
            lambda: readiness.models(plan, None),
            lambda: readiness.settings(plan, "key"),
            lambda: readiness.completion(plan, None),
        )
        for question in questions:
            begun = time.monotonic()
            rungs.append(question())
            assert time.monotonic() - begun < SECONDS + LATE
    for one in rungs:
        kept = json.dumps(one.__dict__, ensure_ascii=False).encode()
        assert len(kept) < 20_000
    assert rungs[1].verdict != "passed", "no hostile server lists our model"


@pytest.mark.parametrize("behaviour", unbounded())
def test_an_answer_without_an_end_costs_little_memory(behaviour: str) -> None:
    """The keeper asks, and is small."""
    with hostile(behaviour) as server:
        tracemalloc.start()
        try:
            with pytest.raises(OSError):  # noqa: PT011 - also a reset
                ask("127.0.0.1", server.port, "/health", timeout=3.0)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peak < MEMORY


@pytest.mark.parametrize("behaviour", ["a header byte by byte", "trailers now and then"])
def test_what_drips_is_told_as_a_time_out(behaviour: str) -> None:
    with hostile(behaviour) as server:
        rung = readiness.completion(plan_of(server.port), None)
    assert (rung.verdict, rung.code) == ("retry", "completion-timeout")


def test_a_body_that_is_cut_is_no_answer() -> None:
    with (
        hostile("a body shorter than its length") as server,
        pytest.raises(NotHttpError, match="before the end"),
    ):
        ask("127.0.0.1", server.port, "/health", timeout=3.0)


def test_a_compressed_answer_is_read() -> None:
    with hostile("gzip as it should be") as server:
        answer = ask("127.0.0.1", server.port, "/v1/models", timeout=3.0)
    assert answer.json()["id"] == "1"
