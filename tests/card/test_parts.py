"""The summary of a card: what fails, what is not known, and what only is worth reading."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launcher.card import parts
from launcher.card.payloads import (
    CardBench,
    CardInstance,
    CardMemory,
    CardSmoke,
    MemoryUse,
    ServingCard,
)
from launcher.codec import decode, encode
from launcher.doctor.model import Finding
from launcher.instance.instance_status import InstanceStatus
from launcher.lifecycle import InstanceState
from launcher.observe.incidents import IncidentRow
from tests.report.card_results import CARDS, GATES, NOW, card
from tests.report.results import check, smoke_result
from tests.support.bench_runs import bench_run

FULL: ServingCard = card().payload


def instance(state: InstanceState) -> CardInstance:
    return CardInstance(InstanceStatus("one", state), MemoryUse(1, None, None))


def test_an_instance_that_does_not_serve_fails() -> None:
    assert parts.state(None, [instance(InstanceState.READY)]).verdict == "pass"
    died = parts.state(None, [instance(InstanceState.DIED)])
    assert (died.verdict, died.message) == ("fail", "one has died")


@pytest.mark.parametrize(
    ("condition", "ready", "verdict"),
    [("serving", 1, "pass"), ("changing", 1, "pass"), ("degraded", 1, "fail"), ("down", 0, "fail")],
)
def test_a_service_fails_where_it_is_not_served_as_it_should_be(
    condition: Any, ready: int, verdict: str
) -> None:
    service = CARDS["report-service"].payload.service
    row = replace(service, condition=condition, ready=ready)
    assert parts.state(row, []).verdict == verdict


def test_a_doctor_fails_by_a_fail_and_not_by_a_warning() -> None:
    findings = [Finding(word, word, word, "", "", None, True) for word in ("PASS", "WARN")]
    assert parts.doctor(findings, None).verdict == "pass"
    failed = parts.doctor([*findings, *FULL.doctor], None)
    assert (failed.verdict, failed.message.split(";")[0]) == ("fail", "FAIL: shm-size")
    assert parts.doctor((), "no engine").verdict == "could not check"


def test_a_model_that_does_not_fit_fails_and_no_plan_does_not() -> None:
    assert parts.memory(FULL.memory).verdict == "pass"
    assert "the engine reported 4900 blocks (+2.0%)" in parts.memory(FULL.memory).message
    plan = FULL.memory.plan
    assert plan is not None
    tight = replace(plan, prediction=replace(plan.prediction, fits=False, reason="no room"))
    assert parts.memory(CardMemory(tight)).verdict == "fail"
    assert parts.memory(CardMemory(None, "no GPU")).verdict == "could not check"


def test_a_smoke_run_has_its_own_verdict_unless_it_is_outdated() -> None:
    run = smoke_result(check("a", "fail"), check("b", "fail", known=True)).payload
    failed = parts.smoke(CardSmoke(run, "the last run"), None)
    assert failed.verdict == "fail"
    assert failed.message == "1 failed, 1 known deviations; the last run"
    outdated = parts.smoke(CardSmoke(run, "the last run", "it is old"), None)
    assert outdated.verdict == "could not check"
    assert parts.smoke(None, "there is none").verdict == "could not check"


@pytest.mark.parametrize(
    ("gates", "verdict"),
    [
        ((), "pass"),
        (GATES[:1], "pass"),
        (GATES[1:2], "fail"),
        (GATES[2:], "inconclusive"),
        (GATES, "fail"),
    ],
)
def test_a_bench_has_the_verdict_of_its_gates(gates: Any, verdict: str) -> None:
    one = CardBench(bench_run(gates=gates), "the last run")
    assert parts.bench(one, None).verdict == verdict
    assert parts.bench(replace(one, outdated="old"), None).verdict == "could not check"


def test_a_bench_on_a_busy_machine_proves_nothing() -> None:
    busy = replace(bench_run().generator, problem="the machine was too busy")
    part = parts.bench(CardBench(bench_run(generator=busy), "the last run"), None)
    assert part.verdict == "inconclusive"
    assert part.message.startswith("the machine was too busy")


def test_an_incident_since_the_start_is_worth_reading_and_no_failure() -> None:
    (row,) = decode(tuple[IncidentRow, ...], encode(FULL.incidents))
    assert parts.incidents((), NOW).verdict == "pass"
    assert parts.incidents((row,), NOW - 120).verdict == "note"
    assert parts.incidents((row,), NOW).verdict == "pass"
