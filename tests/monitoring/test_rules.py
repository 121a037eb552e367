"""The alert rules on recorded series, by promtool: which alerts fire, and when.

`recorded/` has runs of real instances of the stand-in FastDeploy, one value a second (record.py).
An alert waits for minutes, and a recording has seconds: so a test holds the recording's last second
for as long as it needs, and the series of `rising` go on rising. `factor` and `extra` are what else
it changes.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.monitoring.record import SCENES
from tests.monitoring.scenes import MONITORING
from tests.monitoring.test_configuration import ALERTS
from tests.support.decoded import JsonDict
from tests.support.packages import needs_package

FOLDER = Path(__file__).parent / "recorded"
LOST = {"ernie_deploy_unavailable_seconds_total": 1.0}
"""Service stays away."""


@cache
def recording(name: str) -> JsonDict:
    document: JsonDict = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def length(name: str) -> int:
    """Seconds of a recording."""
    return max(len(row) for row in recording(name)["series"].values())


@dataclass(frozen=True)
class Case:
    """A recording, held for `hold` seconds after second `cut` (None: its end).

    `firing` is by seconds after `cut`: the names of all alerts that fire then, but for `ignored`.
    """

    scene: str
    firing: Mapping[int, Iterable[str]]
    cut: str | None = None
    later: int = 0
    hold: int = 0
    rising: Mapping[str, float] = field(default_factory=dict)
    factor: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The first second that is held."""
        if self.cut is None:
            return length(self.scene)
        return int(recording(self.scene)["marks"][self.cut]) + self.later

    def values(self, series: str) -> str:
        """The values of a series, as promtool reads them."""
        name = series.partition("{")[0]
        row = recording(self.scene)["series"][series][: self.end]
        factor = self.factor.get(name, 1.0)
        pairs = zip([None, *row], row, strict=False)
        texts = [
            # A series that a scrape does not find any more ends at once: `stale`.
            ("_" if before is None else "stale") if value is None else repr(value * factor)
            for before, value in pairs
        ]
        if self.hold and row[-1] is not None:
            texts[-1] = f"{texts[-1]}{self._rise(series):+}x{self.hold}"
        return " ".join(texts)

    def _rise(self, series: str) -> float:
        """By how much a series rises each second: of `rising` the text with which it begins."""
        rises = (rise for text, rise in self.rising.items() if series.startswith(text))
        return next(rises, 0.0)


CASES = {
    "healthy for two hours": Case("healthy", {600: [], 3600: [], 7200: []}, hold=7200),
    "a start that takes long": Case(
        "loading",
        {1740: [], 1840: ["NotReady"]},
        hold=2000, rising={"ernie_deploy_start_phase_seconds": 1.0},
    ),
    "a start that takes longer than usual": Case(
        "slow_start",
        {30: ["Failure", "Incident", "Restarted"],
         150: ["Failure", "Incident", "Restarted", "StartSlow"],
         240: ["Failure", "Incident", "Restarted", "StartSlow", "Unavailable"]},
        hold=300, rising={"ernie_deploy_start_phase_seconds": 1.0, **LOST},
    ),
    "a stall that is only reported": Case(
        "stall",
        {0: ["Incident", "StallSeen"],
         70: ["Incident", "StallSeen", "Stalled"],
         240: ["Incident", "StallSeen", "Stalled", "Unavailable"],
         400: ["EngineMetricsUnreachable", "Incident", "StallSeen", "Stalled", "Unavailable"]},
        hold=400, rising=LOST,
    ),
    "a first death": Case(
        "deaths", {45: ["Failure", "Incident", "NotificationsFail", "Restarted"]},
        cut="death 2", hold=60,
    ),
    "a loop of restarts": Case(
        "deaths",
        {45: ["Failure", "Incident", "NoRestartLeft", "NotificationsFail", "RestartLoop",
              "Restarted"]},
        cut="death 4", hold=60,
    ),
    "the budget is used up": Case(
        "deaths", {45: ["Incident", "InstanceEnded", "NotificationsFail"]}, hold=60
    ),
    "a pause": Case(
        "paused",
        {240: ["Unavailable"], 1700: ["Unavailable"], 1900: ["Paused", "Unavailable"]},
        hold=1900, rising=LOST,
    ),
    "a queue that grows and a full KV cache": Case(
        "queue",
        {240: [], 650: ["KvCacheFull", "QueueGrows"]},
        hold=650, rising={"ernie_deploy_engine_requests_waiting": 0.1},
    ),
    "a full queue that does not grow": Case("queue", {650: ["KvCacheFull"]}, hold=650),
    "a keeper that does not run": Case(
        "keeper_stopped", {60: [], 130: ["KeeperUnreachable"]}, hold=200
    ),
    "samples that grow old": Case(
        "healthy", {30: [], 240: ["SampleOld"]},
        hold=240, rising={"ernie_deploy_sample_age_seconds": 1.0},
    ),
    "a keeper that grows": Case(
        "healthy", {1700: [], 1900: ["KeeperMemory"]},
        hold=1900, factor={"ernie_deploy_keeper_resident_bytes": 4.0},
    ),
    "a service with load": Case("service", {600: []}, cut="errors", hold=600),
    "answers of a service that fail": Case(
        "service", {30: [], 90: ["ServiceErrors"]}, cut="errors", later=8, hold=600,
        rising={'haproxy_frontend_http_responses_total{code="5xx"': 10.0},
    ),
    "a service without one of its replicas": Case(
        "service", {240: ["ServiceErrors"], 400: ["ServiceDegraded"]}, cut="degraded", hold=600
    ),
    "a service without a replica": Case(
        "service", {0: [], 45: ["ServiceNoReplica"],
         120: ["ServiceDown", "ServiceErrors", "ServiceNoReplica"],
         400: ["ServiceDown", "ServiceNoReplica"]},
        hold=500,
    ),
    "a service that answers slower than usual": Case(
        "service", {300: [], 700: ["ServiceSlow"]}, cut="errors", hold=800,
        rising={"haproxy_backend_response_time_average_seconds": 0.02},
    ),
    "a rollout whose command was killed": Case(
        "rollout", {60: [], 150: ["RolloutInterrupted"]}, hold=300
    ),
    "a front door without metrics": Case(
        "rollout", {240: [], 330: ["DoorUnreachable"]}, hold=400, cut="interrupted", later=-4,
        factor={"up": 0.0},
    ),
    "targets that nothing writes any more": Case(
        "healthy", {500: [], 700: ["TargetsOld"]}, hold=700,
        extra={'prometheus_sd_file_mtime_seconds{filename="targets/keepers.json"}': "0x800"},
    ),
}  # fmt: skip


def unit_test(case: Case) -> JsonDict:
    """One test group of promtool."""
    series = {name: case.values(name) for name in recording(case.scene)["series"]}
    series.update(case.extra)
    checks = [
        {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
         "eval_time": f"{case.end - 1 + after}s",
         "exp_samples": [
             {"labels": f'{{alertname="ErnieDeploy{name}"}}', "value": 1}
             for name in sorted(names)
         ]}
        for after, names in case.firing.items()
    ]  # fmt: skip
    return {
        "interval": "1s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": checks,
    }


def run(folder: Path, groups: list[JsonDict]) -> subprocess.CompletedProcess[str]:
    document = {
        "rule_files": [str(path) for path in sorted((MONITORING / "rules").glob("*.yml"))],
        "evaluation_interval": "15s",
        "tests": groups,
    }
    path = folder / "rules_test.yml"
    path.write_text(yaml.safe_dump(document))
    argv = ["promtool", "test", "rules", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("name", CASES)
def test_which_alerts_fire(name: str, tmp_path: Path) -> None:
    needs_package("prometheus")
    done = run(tmp_path, [unit_test(CASES[name])])
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_happened_is_counted_from_the_first(tmp_path: Path) -> None:
    """Also the failure with which a series begins; whole numbers; and after a new keeper."""
    needs_package("prometheus")
    case = Case("deaths", {}, cut="death 4", hold=700)
    names = ("instance:ernie_deploy_restarts:increase10m",
             "instance_code:ernie_deploy_failures:increase10m")  # fmt: skip
    group = unit_test(case)
    group["promql_expr_test"] = [
        {"expr": f"sum({name})", "eval_time": f"{case.end - 1 + after}s",
         "exp_samples": [{"labels": "{}", "value": value}]}
        for name in names for after, value in ((15, 3), (500, 3))
    ]  # fmt: skip
    begun_anew = {
        "interval": "1m",
        "input_series": [
            {"series": f'ernie_deploy_{metric}{{instance="x"}}', "values": "5x5 0 1 2 2x20"}
            for metric in ("restarts_total", "failures_total")
        ],
        "promql_expr_test": [
            {"expr": f"sum({name})", "eval_time": time, "exp_samples": [
                {"labels": "{}", "value": value}]}
            for name in names for time, value in (("8m", 2), ("12m", 2))
        ],
    }  # fmt: skip
    done = run(tmp_path, [group, begun_anew])
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_case() -> None:
    fired = {
        f"ErnieDeploy{name}"
        for case in CASES.values()
        for names in case.firing.values()
        for name in names
    }
    assert fired == set(ALERTS)


def test_every_recording_is_used_and_was_made() -> None:
    names = {play.__name__ for play in SCENES}
    assert {path.stem for path in FOLDER.glob("*.json")} == names
    assert {case.scene for case in CASES.values()} == names
