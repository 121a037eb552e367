"""What the keeper answers to a request, without the socket that it comes through."""

import pytest

from launcher.errors import ExitCode
from launcher.json_values import JsonObject
from launcher.keeper import requests
from launcher.keeper.admin.probes import Answer

STOPS: list[tuple[str, ExitCode, float | None]] = []
"""Reason, exit code and drain of each stop that the request of this test has led to."""
PROBES: list[str] = []
"""The kinds that it has led to a probe of."""


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    STOPS.clear()
    PROBES.clear()


def stop(reason: str, code: ExitCode, drain: float | None) -> float:
    STOPS.append((reason, code, drain))
    return 61.5


def probe(kind: str) -> Answer:
    PROBES.append(kind)
    return Answer(False, f"not {kind}")


def answer_to(request: JsonObject) -> JsonObject:
    return requests.answer(request, lambda: {"state": "ready"}, stop, probe)


def test_a_probe_is_answered_with_its_reason() -> None:
    answer = answer_to({"op": "probe", "kind": "ready"})
    assert answer == {"ok": True, "passed": False, "reason": "not ready"}


@pytest.mark.parametrize("kind", ["dance", "", None, 3, ["live"]])
def test_a_probe_of_an_unknown_kind_is_refused(kind: object) -> None:
    answer = answer_to({"op": "probe", "kind": kind})  # type: ignore[dict-item]
    assert (answer["ok"], answer["error"]) == (False, "unknown op 'probe'")
    assert PROBES == []


def test_a_field_of_a_probe_does_not_turn_another_request_into_one() -> None:
    assert answer_to({"op": "stop", "kind": "live"}) == {"ok": True, "deadline": 61.5}
    ((reason, code, drain),) = STOPS
    assert (reason, code, drain) == ("down", ExitCode.DONE, None)
    assert PROBES == []


@pytest.mark.parametrize(
    ("drain", "seconds"),
    [(None, None), (True, None), ("soon", None), (float("nan"), None), (-1, 0.0), (90, 90.0),
     (1e9, 1e6), (float("inf"), 1e6), (10**400, 1e6)],
)  # fmt: skip
def test_a_drain_is_a_number_of_seconds_that_a_timer_can_take(
    drain: float | str | None, seconds: float | None
) -> None:
    answer_to({"op": "stop", "reason": "a test", "interrupt": True, "drain": drain})
    ((_, code, drain_seconds),) = STOPS
    assert (code, drain_seconds) == (ExitCode.INTERRUPTED, seconds)


def test_a_reason_becomes_history_and_is_cut() -> None:
    answer_to({"op": "stop", "reason": "\ud800" + "x" * 1000})
    ((reason, _, _),) = STOPS
    assert reason == "?" + "x" * 199
