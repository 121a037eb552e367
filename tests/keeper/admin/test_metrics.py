"""`/metrics` as Prometheus' own parser reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from launcher.keeper.admin import metrics
from launcher.keeper.admin.counters import Counters
from launcher.keeper.admin.metrics import EngineSample
from launcher.keeper.admin.prometheus_text import Exposition
from launcher.keeper.state import LivenessRecord, State
from launcher.keeper.usage import KeyUsage
from launcher.lifecycle import STORED, InstanceState
from launcher.liveness import policy
from launcher.liveness.judge import Liveness
from launcher.plan.model import LaunchPlan, PortUse
from launcher.plan.restart import RestartPolicy
from tests.support import ROOT

PLAN = LaunchPlan(
    "one", "scripted", "1.0", ("/bin/true",), "/", "/logs", "/tmp/ed-x", model='a "model"\\\n'
)
NAMES = policy.Counters(
    progress=("tokens",),
    running=("running",),
    waiting=("w1", "w2"),
    received="in",
    finished="out",
    tokens="tokens",
    kv_usage="kv",
)


SCRAPED = replace(
    PLAN,
    ports=(PortUse("metrics", 8181, "0.0.0.0"),),
    liveness=policy.LivenessPolicy(metrics_port="metrics", metrics_path="/m"),
)


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Name to labels (without `instance`) to value; every family has HELP and TYPE."""
    families = list(text_string_to_metric_families(text))
    heads = re.findall(r"^# (?:HELP|TYPE) (\S+)", text, re.MULTILINE)
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in families:
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge")
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("instance") == "one"
            assert heads.count(sample.name) == 2, sample.name
            assert (family.type == "counter") is sample.name.endswith("_total"), sample.name
            samples.setdefault(sample.name, {})[tuple(sorted(labels.items()))] = sample.value
    return samples


def rendered(
    state: State, counters: Counters | None = None, sample: EngineSample | None = None,
    plan: LaunchPlan = PLAN,
) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:  # fmt: skip
    return read(metrics.render(plan, state, counters or Counters(), sample))


@pytest.fixture
def state() -> State:
    return State("one", "one:token", InstanceState.LOADING, started_at=1_795_824_708.5)


def test_an_instance_that_begins_has_its_series_already(state: State) -> None:
    samples = rendered(state)
    ((info, value),) = samples["ernie_deploy_info"].items()
    assert (dict(info)["model"], value) == (PLAN.model, 1), "its labels are what it tells"
    assert samples["ernie_deploy_state"] == {
        (("state", one.value),): float(one is InstanceState.LOADING) for one in STORED
    }
    assert samples["ernie_deploy_restarts_total"] == {(): 0}
    assert samples["ernie_deploy_started_timestamp_seconds"] == {(): 1_795_824_708.5}
    assert samples["ernie_deploy_keeper_resident_bytes"][()] > 1e6
    assert len(samples["ernie_deploy_liveness_verdicts_total"]) == len(Liveness)
    assert "ernie_deploy_liveness" not in samples, "no verdict yet"
    assert "ernie_deploy_ready_seconds" not in samples
    assert not [name for name in samples if "engine_" in name]


def test_a_verdict_is_one_of_all(state: State) -> None:
    state.liveness = LivenessRecord(Liveness.STALLED, 1.0)
    verdicts = rendered(state)["ernie_deploy_liveness"]
    assert {dict(labels)["verdict"]: value for labels, value in verdicts.items()} == {
        "idle": 0, "busy": 0, "stalled": 1, "dead": 0, "paused": 0,
    }  # fmt: skip


def test_the_engine_is_told_under_names_of_its_own(state: State) -> None:
    values = {
        "in": 12.0, "out": 10.0, "running": 2.0, "w1": 3.0, "w2": 4.0, "other": 9.0,
        "tokens": 99.0, "kv": 0.25,
    }  # fmt: skip
    samples = rendered(state, sample=EngineSample(1.5, values, NAMES))
    assert samples["ernie_deploy_sample_age_seconds"] == {(): 1.5}
    assert samples["ernie_deploy_engine_requests_received_total"] == {(): 12}
    assert samples["ernie_deploy_engine_requests_finished_total"] == {(): 10}
    assert samples["ernie_deploy_engine_requests_running"] == {(): 2}
    assert samples["ernie_deploy_engine_requests_waiting"] == {(): 7}
    assert samples["ernie_deploy_engine_generated_tokens_total"] == {(): 99}
    assert samples["ernie_deploy_engine_kv_cache_usage_ratio"] == {(): 0.25}


def test_the_engines_own_metrics_are_named_by_their_url(state: State) -> None:
    samples = rendered(state, plan=SCRAPED)
    expected = {(("url", "http://127.0.0.1:8181/m"),): 1}
    assert samples["ernie_deploy_engine_metrics_info"] == expected
    assert "ernie_deploy_engine_metrics_info" not in rendered(state)


def test_what_the_engine_does_not_tell_is_absent_rather_than_zero(state: State) -> None:
    samples = rendered(state, sample=EngineSample(1.5, {"running": 2.0, "w1": 0.0}, NAMES))
    assert {name for name in samples if "_engine_" in name} == {
        "ernie_deploy_engine_requests_running", "ernie_deploy_engine_requests_waiting",
    }  # fmt: skip
    unread = rendered(state, sample=EngineSample(1.5, None, NAMES))
    assert not [name for name in unread if "_engine_" in name]


def test_what_happened_is_counted_by_label(state: State) -> None:
    counters = Counters()
    for event in (
        {"event": "failure", "code": "engine-died"}, {"event": "failure", "code": "engine-died"},
        {"event": "failure", "code": 'ED-"X"'}, {"event": "incident", "kind": "stall"},
        {"event": "state", "state": "loading"}, {"event": "phase", "phase": "weights"},
    ):  # fmt: skip
        counters.observe(event)
    samples = rendered(state, counters)
    assert samples["ernie_deploy_failures_total"] == {
        (("code", "engine-died"),): 2, (("code", 'ED-"X"'),): 1,
    }  # fmt: skip
    incidents = samples["ernie_deploy_incidents_total"]
    assert incidents[("kind", "stall"),] == 1
    assert sum(incidents.values()) == 1, "the others are there, as 0"
    assert list(samples["ernie_deploy_start_phase_seconds"]) == [(("phase", "weights"),)]


def test_the_restarts_that_remain_are_those_of_the_policy(state: State) -> None:
    counters = Counters()
    for _ in range(4):
        counters.observe({"event": "restart", "number": 1})
    name = "ernie_deploy_restarts_remaining"
    for allowed, remaining in ((5, 1), (4, 0), (2, 0)):
        plan = replace(PLAN, restart=RestartPolicy(max_restarts=allowed))
        assert rendered(state, counters, plan=plan)[name] == {(): remaining}
    plan = replace(PLAN, restart=RestartPolicy(policy="never"))
    assert name not in rendered(state, counters, plan=plan)


@pytest.mark.parametrize(
    "value", [0, 1, -1, 0.1, 1e-9, 1e15, 123456789.125, 2.0**60, math.inf, -math.inf]
)
def test_a_number_is_read_as_it_was(value: float) -> None:
    out = Exposition("x_", {})
    out.gauge("y", "z", value)
    ((family),) = text_string_to_metric_families(out.text())
    assert family.samples[0].value == value


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\\n", 'a"b\\c\nd', "\udcff", "日本", "}", " "])
def test_a_label_is_read_as_it_was(text: str, state: State) -> None:
    (labels,) = rendered(state, plan=replace(PLAN, model=text))["ernie_deploy_info"]
    assert dict(labels)["model"] == text.encode(errors="replace").decode()


UNITS = {"seconds": "s", "bytes": "bytes", "ratio": "0 to 1"}
"""What the page says of a metric whose name, without `_total`, ends in this word."""


class Row(NamedTuple):
    """One metric on the page."""

    name: str
    kind: str
    labels: tuple[str, ...]
    unit: str
    text: str


def documented() -> Iterator[Row]:
    """Each metric on the page."""
    page = (ROOT / "docs" / "monitoring.md").read_text()
    row = r"^\| `(\w+)` \| (gauge|counter) \|([^|]*)\| ?([^|]*?) ?\| (.+) \|$"
    for name, kind, labels, unit, text in re.findall(row, page, re.MULTILINE):
        yield Row(name, kind, tuple(re.findall(r"`(\w+)`", labels)), unit, text)


def complete(state: State) -> str:
    """`/metrics` of an instance of which everything is known."""
    state.liveness, state.ready_at = LivenessRecord(Liveness.IDLE, 1.0), 2.0
    counters = Counters()
    for event in (
        {"event": "failure", "code": "x"}, {"event": "incident", "kind": "stall"},
        {"event": "state", "state": "loading"}, {"event": "phase", "phase": "x"},
        {"event": "state", "state": "ready"},
    ):  # fmt: skip
        counters.observe(event)
    values = dict.fromkeys(("in", "out", "running", "w1", "tokens", "kv"), 1.0)
    sample = EngineSample(1.0, values, NAMES)
    return metrics.render(SCRAPED, state, counters, sample, {"team-a": KeyUsage()})


def test_the_page_lists_every_metric_with_its_labels(state: State) -> None:
    samples = read(complete(state))
    present = {
        (name.removeprefix("ernie_deploy_"), tuple(sorted(key for key, _ in labels)))
        for name, series in samples.items()
        for labels in series
    }
    assert {(row.name, tuple(sorted(row.labels))) for row in documented()} == present


def test_the_page_says_of_every_metric_what_the_metrics_say(state: State) -> None:
    heads = re.findall(
        r"^# HELP ernie_deploy_(\w+) (.+)\n# TYPE \S+ (\w+)$", complete(state), re.MULTILINE
    )
    assert [(row.name, row.text, row.kind) for row in documented()] == heads
    for row in documented():
        assert (row.kind == "counter") is row.name.endswith("_total"), row.name
        assert row.unit == UNITS.get(row.name.removesuffix("_total").rpartition("_")[2], ""), row
