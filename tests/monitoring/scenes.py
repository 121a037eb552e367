"""Instances of the stand-in FastDeploy to monitor, and a scraper that keeps what it read."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.fastdeploy.conftest import MODEL, SCALE, Server
from tests.support import ROOT, cli
from tests.support.decoded import JsonDict

MONITORING = ROOT / "deploy" / "monitoring"
RELEASE = "2.6"
"""The first whose queue can be seen."""
QUICK = {
    "interval": 0.5, "stall-after": 6, "canary-interval": 2, "canary-deadline": 2,
}  # fmt: skip
ENGINE_METRICS = ("fastdeploy:time_to_first_token_seconds_bucket",)
"""What the rules need of the engine's own metrics."""
DOOR_METRICS = (
    "haproxy_frontend_http_responses_total", "haproxy_backend_active_servers",
    "haproxy_backend_response_time_average_seconds",
)  # fmt: skip
"""What they need of a front door's."""
DROPPED = ("condition", "unscraped")
"""Labels of a target that prometheus.yml drops from its metrics."""


def instance(
    home: Path, folder: Path, python: Path, name: str, fault: str = "", **keys: Any
) -> Server:
    """A profile of the stand-in in `folder`, not started yet; `env` adds variables."""
    env = {"TWIN_TIME_SCALE": SCALE, "TWIN_MAX_LIFETIME": "600", **keys.pop("env", {})}
    if fault:
        env["TWIN_FAULT"] = fault
    profile: JsonDict = {
        "name": name, "engine": "fastdeploy", "python": str(python), "model": str(MODEL),
        "max-model-len": 2048, "max-num-seqs": 4, "env": env, "stop": {"grace": 5},
        **{key.replace("_", "-"): value for key, value in keys.items()},
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(profile))
    return Server(home, path, name)


def write_targets(home: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the shipped program with this checkout's command line."""
    command = folder.parent / "ernie-deploy"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m launcher "$@"\n')
    command.chmod(0o755)
    return subprocess.run(
        [sys.executable, str(MONITORING / "write_targets.py"), str(folder), *arguments,
         "--command", str(command)],
        env=cli.environment(home), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


class Scraper:
    """Scrapes targets as Prometheus does, each second, and keeps every value by series.

    `series` has one value a second, None where there was none.
    """

    def __init__(self) -> None:
        self.series: dict[str, list[float | None]] = {}
        self.seconds = 0
        self._next = time.monotonic()

    def scrape(self, groups: list[JsonDict]) -> None:
        """Read the targets of write_targets.py once; wait until a second has passed."""
        values: dict[str, float] = {}
        for job, group in ((one["job"], one) for one in groups):
            values.update(_scrape(job, group))
        for name in {*values, *self.series}:
            row = self.series.setdefault(name, [None] * self.seconds)
            row.append(values.get(name))
        self.seconds += 1
        self._next += 1.0
        time.sleep(max(0.0, self._next - time.monotonic()))


def _scrape(job: str, group: JsonDict) -> dict[str, float]:
    """The samples of one target, and its `up`."""
    labels = dict(group["labels"])
    path = labels.pop("__metrics_path__", "/metrics")
    values = {_name("up", {"job": job, **labels}): 0.0}
    parts = urlsplit(f"http://{group['targets'][0]}")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=0.5)
    try:
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return values
    finally:
        connection.close()
    values = dict.fromkeys(values, 1.0)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if job == "ernie-deploy" or sample.name in (*ENGINE_METRICS, *DOOR_METRICS):
                kept = {key: text for key, text in labels.items() if key not in DROPPED}
                own = {"job": job, **kept, **sample.labels}
                with suppress(ValueError):
                    values[_name(sample.name, own)] = float(sample.value)
    return values


def _name(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}"
