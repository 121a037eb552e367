"""What deploy/monitoring ships is loaded as it is by Prometheus' and Alertmanager's checkers."""

import json
import re
import subprocess

import pytest
import yaml

from tests.monitoring.scenes import MONITORING
from tests.support import ROOT
from tests.support.decoded import JsonDict
from tests.support.packages import needs_package

RULES = ("recording.yml", "alerts.yml")


def rules(name: str) -> list[JsonDict]:
    groups = yaml.safe_load((MONITORING / "rules" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}


def check(*argv: str) -> str:
    done = subprocess.run(argv, cwd=MONITORING, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_loads_it() -> None:
    needs_package("prometheus")
    output = check("promtool", "check", "config", "prometheus.yml")
    assert "2 rule files found" in output
    assert "FAILED" not in output


def test_alertmanager_loads_it() -> None:
    needs_package("prometheus-alertmanager")
    assert "SUCCESS" in check("amtool", "check-config", "alertmanager.yml")


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "page"), ("warning", "ticket"), ("info", "log")]
)
def test_each_severity_has_a_receiver_of_its_own(severity: str, receiver: str) -> None:
    needs_package("prometheus-alertmanager")
    argv = ("amtool", "config", "routes", "test", "--config.file", "alertmanager.yml")
    assert check(*argv, f"severity={severity}", "alertname=ErnieDeployX").strip() == receiver
    assert severity in {rule["labels"]["severity"] for rule in ALERTS.values()}


def test_an_inhibition_names_alerts_that_exist() -> None:
    config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, value = re.split(r"(=~|!=|=)", matcher, maxsplit=1)
            assert name == "alertname"
            pattern = value.strip('"')
            hits = [one for one in ALERTS if re.fullmatch(pattern, one)]
            expected = pattern.count("|") + 1 if "(" in pattern else 1
            assert len(hits) >= expected, matcher


def test_no_secret_is_in_the_files() -> None:
    for path in MONITORING.rglob("*"):
        if path.is_file():
            for word in re.findall(r"^\s*-?\s*(\w+):", path.read_text(), re.MULTILINE):
                assert not re.search(r"password$|token$|secret|_key$|credentials$", word), path


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name: str) -> None:
    from launcher.cli.main import VERBS

    alert = ALERTS[name]
    assert name.startswith("ErnieDeploy")
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "command", "runbook"}
    assert (ROOT / notes["runbook"]).is_file()
    program, verb, *_ = notes["command"].split()
    if program == "ernie-deploy":
        assert verb in VERBS
        assert notes["command"].split()[-1] in ("{{", "}}") or "{{ $labels." in notes["command"]
    else:
        assert (MONITORING / notes["command"].split()[-1]).is_file()


def test_every_alert_and_rule_is_on_the_page() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    rows = re.findall(r"^\| `(ErnieDeploy\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert rows == [(name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]
    recorded = re.findall(r"^\| `(instance\w*:\w+:\w+)` \|", page, re.MULTILINE)
    assert recorded == [rule["record"] for rule in rules("recording.yml")]


def test_the_dashboard_can_be_imported() -> None:
    """Grafana asks for the datasource, knows all panels, and none covers another."""
    document = json.loads((MONITORING / "dashboard.json").read_text())
    (needed,) = document["__inputs"]
    assert (needed["type"], needed["pluginId"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": f"${{{needed['name']}}}"}
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    kinds = {panel["type"] for panel in panels} - {"row"}
    assert {one["id"] for one in document["__requires"] if one["type"] == "panel"} == kinds
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        own = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not own & cells, panel["title"]
        cells |= own
        for target in panel.get("targets", []):
            assert target["datasource"] == chosen
            assert "$instance" in target["expr"] or "ALERTS" in target["expr"], panel["title"]
        assert panel["type"] == "row" or (panel["description"] and panel["targets"])
    assert [one["name"] for one in document["templating"]["list"]] == ["instance"]
    assert document["templating"]["list"][0]["datasource"] == chosen
