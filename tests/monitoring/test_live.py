"""A real Prometheus and Alertmanager watch running instances, with what deploy/monitoring ships.

Only what the test has to wait for is shortened: the intervals of scraping, `group_wait`, and the
`for` of the alert about the stall.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from tests.fastdeploy.clients import clients
from tests.monitoring.scenes import MONITORING, QUICK, RELEASE, instance, write_targets
from tests.monitoring.test_configuration import ALERTS
from tests.support.decoded import JsonDict
from tests.support.packages import needs_package
from tests.support.prometheus import Prometheus, Receiver, alertmanager, prometheus, receiver
from tests.support.service_rig import ServiceRig
from tests.support.waiting import wait_for

VARIABLES = {"$instance": ".*", "$__rate_interval": "15s", "$__range": "5m"}
"""What Grafana puts in."""
WITHOUT_EVENTS = {
    "Failures by code": "no failure",
    "Incidents by kind, notifications that failed: {{kind}}": "no incident",
    "Start to ready: current": "nothing loads",
    "annotation Restarts": "no restart",
}
"""The queries that are empty while nothing happens, and why."""


def dashboard() -> JsonDict:
    document: JsonDict = json.loads((MONITORING / "dashboard.json").read_text())
    return document


def queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard, as Grafana sends it, with the title of its panel."""
    document = dashboard()
    for panel in document["panels"]:
        targets = panel.get("targets", [])
        for target in targets:
            legend = target["legendFormat"].replace("{{instance}}", "").strip()
            title = panel["title"] if len(targets) == 1 else f"{panel['title']}: {legend}"
            yield title, resolved(target["expr"])
    for one in document["annotations"]["list"]:
        if "expr" in one:
            yield f"annotation {one['name']}", resolved(one["expr"])
    for variable in document["templating"]["list"]:
        query = variable["query"]["query"]
        assert query.startswith("label_values(")
        series, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
        yield f"variable {variable['name']}", f"count by ({label}) ({series})"


def resolved(expr: str) -> str:
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def rules() -> dict[str, str]:
    """The query of each recording rule."""
    groups = yaml.safe_load((MONITORING / "rules" / "recording.yml").read_text())["groups"]
    return {rule["record"]: rule["record"] for group in groups for rule in group["rules"]}


QUERIES = dict(queries())


def shortened(folder: Path, alertmanager_port: int) -> JsonDict:
    """The shipped prometheus.yml, and the rules beside it, with short times."""
    text = (MONITORING / "prometheus.yml").read_text()
    config: JsonDict = yaml.safe_load(text.replace(":9093", f":{alertmanager_port}"))
    config["global"] = {
        "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms",
    }  # fmt: skip
    (folder / "rules").mkdir()
    for path in (MONITORING / "rules").glob("*.yml"):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            for rule in group["rules"]:
                if rule.get("alert") == "ErnieDeployStalled":
                    rule["for"] = "0s"
        (folder / "rules" / path.name).write_text(yaml.safe_dump(document))
    return config


def routed(receiving: Receiver) -> JsonDict:
    """The shipped alertmanager.yml with short times; its receivers are ours."""
    text = (MONITORING / "alertmanager.yml").read_text()
    config: JsonDict = yaml.safe_load(text.replace(":9099/", f":{receiving.server.server_port}/"))
    for route in (config["route"], *config["route"]["routes"]):
        route.update(group_wait="0s", group_interval="1s")
    return config


class Watched:
    """What Prometheus has seen since the beginning."""

    def __init__(self, server: Prometheus) -> None:
        self.server = server
        self.begun = time.time()

    def has(self, expr: str) -> bool:
        """Whether the query had a number at any moment since the beginning."""
        rows = self.server.query_range(expr, self.begun, time.time() + 1, 0.5)
        return any(value != "NaN" for row in rows for _, value in row["values"])

    def missing(self, expressions: dict[str, str]) -> list[str]:
        """The titles of the queries without data."""
        return [title for title, expr in expressions.items() if not self.has(expr)]


def test_every_query_has_data_and_alerts_reach_their_receiver(
    tmp_path: Path, home: Path, twin_python: Callable[[str], Path], shop: ServiceRig
) -> None:
    needs_package("prometheus")
    needs_package("prometheus-alertmanager")
    python = twin_python(RELEASE)
    alpha = instance(home, tmp_path, python, "alpha")
    beta = instance(
        home, tmp_path, python, "beta",
        liveness=QUICK,
        restart={"max-restarts": 1, "first-delay": 0, "on-stall": "report"},
        env={"TWIN_TIME_SCALE": "0.2"},
    )  # fmt: skip
    targets = tmp_path / "targets"
    try:
        for one in (alpha, beta):
            up = one.up("--json")
            assert up.rc == 0, up.output()
        shop.deploy(replicas=1)
        assert write_targets(home, targets).returncode == 0
        with (
            receiver() as receiving,
            alertmanager(tmp_path, routed(receiving)) as manager,
            prometheus(tmp_path, shortened(tmp_path, manager.port)) as server,
        ):
            watched = Watched(server)
            expressions = QUERIES | rules()
            events = set(WITHOUT_EVENTS) | {
                "instance_code:ernie_deploy_failures:increase10m",
                "instance:ernie_deploy_start_seconds:current",
            }
            with clients(alpha, 2, max_tokens=20), shop.load(1, pause=0.2):
                wait_for(lambda: set(watched.missing(expressions)) <= events, "data")
            assert set(watched.missing(expressions)) == events, "they are about events"
            assert names(server) == {"alpha", "beta", "shop", "shop-door", *shop.members()}
            ages = ALERTS["ErnieDeployTargetsOld"]["expr"].replace("> 600", "< 600")
            assert len(server.query(ages)) == 3, "the ages of all files are known"
            assert firing(server) == [], "nothing is wrong"

            os.kill(beta.worker, signal.SIGSTOP)
            stopped = beta.worker
            wait_for(lambda: receiving.received("ErnieDeployStalled"), "the alert of the stall")
            ((path, alert), *_) = receiving.received("ErnieDeployStalled")
            assert (path, alert["labels"]["instance"]) == ("/page", "beta")
            assert alert["annotations"]["command"] == "ernie-deploy incidents beta"
            os.kill(stopped, signal.SIGCONT)
            wait_for(lambda: receiving.received("ErnieDeployStalled", "resolved"), "its end")

            engine = beta.main
            os.kill(engine, signal.SIGKILL)
            wait_for(lambda: beta.state() == "ready" and beta.main != engine, "the restart")
            wait_for(lambda: receiving.received("ErnieDeployNoRestartLeft"), "its alert")
            wait_for(lambda: not watched.missing(expressions), "data of the events")

            os.kill(beta.main, signal.SIGKILL)
            beta.wait_state("failed", "died")
            assert write_targets(home, targets).returncode == 0
            wait_for(lambda: receiving.received("ErnieDeployInstanceEnded"), "the alert of the end")
            ((path, alert), *_) = receiving.received("ErnieDeployInstanceEnded")
            assert (path, alert["labels"]["ended"]) == ("/page", beta.state())
            # What else fires about beta follows from that, and is not sent any more.
            wait_for(lambda: inhibited(manager.get("/api/v2/alerts"), "beta"), "the inhibition")
            assert {alert["labels"]["instance"] for _, alert in receiving.alerts} == {"beta"}
    finally:
        for one in (alpha, beta):
            if one.files.exists:
                one.down()


def names(server: Prometheus) -> set[str]:
    """The instances of which the dashboard's variable has a choice."""
    return {row["metric"]["instance"] for row in server.query(QUERIES["variable instance"])}


def firing(server: Prometheus) -> list[JsonDict]:
    """The alerts that fire now."""
    alerts: list[JsonDict] = server.get("/api/v1/alerts")["data"]["alerts"]
    return [alert for alert in alerts if alert["state"] == "firing"]


def inhibited(alerts: list[JsonDict], name: str) -> bool:
    """Whether an instance has more alerts than that of its end, and all of them are inhibited."""
    rest = [
        alert["status"]["state"]
        for alert in alerts
        if alert["labels"]["instance"] == name
        and alert["labels"]["alertname"] != "ErnieDeployInstanceEnded"
    ]
    return bool(rest) and set(rest) == {"suppressed"}
