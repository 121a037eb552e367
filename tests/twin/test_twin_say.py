"""Every recorded failure signature can be shown where it was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.twin.conftest import Start
from tests.twin.driver import wait_for
from tests.twin.faults import parse

ROWS = {
    row[0]: row
    for row in json.loads((Path(__file__).parent / "releases" / "failures.json").read_text())[
        "failures"
    ]
}
HTTP = [name for name, row in ROWS.items() if row[1].startswith("HTTP")]
SILENT = {name for name in ROWS if "say" not in parse(f"say@id={name}")}
HARMLESS = ["sub-services-noise", "ccache-noise", "prometheus-dir-noise", "paddle-commit-mismatch"]
SERVING = [
    name
    for name, row in ROWS.items()
    if name not in SILENT and name not in HTTP and row[2].startswith("serving")
]
FATAL = sorted(set(ROWS) - SILENT - set(HTTP) - set(HARMLESS) - set(SERVING))


def test_all_signatures_are_there() -> None:
    assert len(ROWS) == 93
    assert len(FATAL) + len(SILENT) + len(HTTP) + len(HARMLESS) + len(SERVING) == 93
    assert {name for name, row in ROWS.items() if row[4] is None} <= SILENT


def seen_at(where: str) -> str | None:
    """The log that holds the line; None: stderr of the api_server."""
    logs = {"log/workerlog": "workerlog.0", "log/launch_worker": "launch_worker.log"}
    return next((name for start, name in logs.items() if where.startswith(start)), None)


@pytest.mark.parametrize("identity", FATAL)
def test_a_fatal_signature(start: Start, identity: str) -> None:
    _, where, _, code, sample = ROWS[identity]
    twin = start(fault=f"say@id={identity}", scale=0.005)
    expected = code if code is not None else 0 if seen_at(where) else 1
    assert twin.wait() == expected
    name = seen_at(where)
    assert sample in (twin.log(name) if name else twin.output)
    if name:
        assert sample not in twin.output
        assert "Failed to launch worker processes" in twin.output
    twin.wait_gone()


@pytest.mark.parametrize("identity", HARMLESS)
def test_a_harmless_line(start: Start, identity: str) -> None:
    twin = start(fault=f"say@id={identity}").wait_ready()
    assert ROWS[identity][4] in twin.output


@pytest.mark.parametrize("identity", SERVING)
def test_a_signature_while_serving(start: Start, identity: str) -> None:
    _, where, _, code, sample = ROWS[identity]
    twin = start(fault=f"say@id={identity}").wait_ready()
    name = seen_at(where)
    wait_for("the line", lambda: sample in (twin.log(name) if name else twin.output))
    if code is not None:
        assert twin.wait() == code
    else:
        assert twin.says("Say OK.") == "OK"


@pytest.mark.parametrize("identity", HTTP)
def test_a_signature_in_a_body(start: Start, identity: str) -> None:
    twin = start(fault=f"say@id={identity}").wait_ready()
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    status, raw = twin.http("POST", "/v1/chat/completions", body)
    assert status in (401, 429, 500)
    text = ROWS[identity][4]
    assert (json.loads(raw) == json.loads(text)) if text[0] == "{" else text in raw.decode()


@pytest.mark.parametrize("identity", sorted(SILENT))
def test_a_signature_without_a_line_is_a_fault(identity: str) -> None:
    (name,) = parse(f"say@id={identity}")
    assert name != "say"
