"""`doctor` of a profile with a service: whether all replicas fit on this machine."""

from pathlib import Path

import pytest

from launcher.doctor import Finding
from launcher.errors import PreconditionError
from launcher.json_values import JsonValue
from launcher.profile.build import build
from launcher.profile.model import Profile
from launcher.service import machine
from launcher.service.examination import examine, example_replica
from launcher.service.layout import Room


def profile(**service: JsonValue) -> Profile:
    return build({
        "name": "shop", "engine": "transformers", "model": "/nowhere", "host": "0.0.0.0",
        "ports": {"api": 8180}, "service": service,
    })  # fmt: skip


def replicas_finding(loaded: Profile) -> Finding:
    (finding,) = (one for one in examine(loaded, only_fast=True) if one.check == "replicas")
    return finding


@pytest.mark.parametrize(
    ("room", "status", "evidence"),
    [
        (Room(), "PASS", "2 replicas fit: blue-green, because nothing runs yet"),
        (Room(sets=(("0",), ("1",))), "PASS", "sets of GPUs: 0 1"),
        (Room(sets=(("0",),)), "FAIL", "there are 1 free sets of GPUs of 1"),
    ],
)
def test_the_number_of_replicas_is_compared_with_the_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch, room: Room, status: str, evidence: str
) -> None:
    monkeypatch.setattr(machine, "measure", lambda *arguments, **named: room)
    finding = replicas_finding(profile(replicas=2))
    assert finding.status == status
    assert evidence in finding.evidence


def test_what_cannot_be_measured_is_unknown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*arguments: object, **named: object) -> Room:
        raise PreconditionError.of("missing-engine", "no engine is installed")

    monkeypatch.setattr(machine, "measure", measure)
    finding = replicas_finding(profile(replicas=2))
    assert (finding.status, finding.evidence) == ("UNKNOWN", "no engine is installed")


def test_the_door_is_looked_at_with_the_public_address(home: Path) -> None:
    findings = examine(profile(replicas=1), only_fast=True)
    door = [one for one in findings if one.evidence.startswith("front door: ")]
    assert {one.check for one in door} >= {"engine", "haproxy-open-files"}


def test_a_replica_listens_on_loopback_with_its_own_ports(home: Path) -> None:
    replica = example_replica(profile(replicas=1, gpus=[["0", "1"]]))
    assert (replica.name, replica.host) == ("shop-replica", "127.0.0.1")
    assert replica.ports["api"] == "auto"
    assert replica.service is None


@pytest.mark.parametrize(
    ("engine", "dialects", "expected"),
    [
        ("transformers", ["openai", "anthropic"], True),
        ("transformers", ["openai"], False),
        ("vllm", ["openai", "anthropic"], False),
    ],
)
def test_a_missing_gateway_is_reported_before_it_is_needed(
    home: Path, engine: str, dialects: list[JsonValue], expected: bool
) -> None:
    loaded = build({
        "name": "shop", "engine": engine, "model": "/nowhere",
        "service": {"replicas": 1, "dialects": dialects},
    })  # fmt: skip
    findings = [one for one in examine(loaded, only_fast=True) if "gateway: " in one.evidence]
    assert bool(findings) is expected
    if expected:
        assert any(one.status == "FAIL" and "install gateway" in (one.remedy or "")
                   for one in findings)  # fmt: skip
