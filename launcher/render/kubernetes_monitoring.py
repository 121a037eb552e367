"""What the Prometheus operator reads: where to scrape, and the rules that ship."""

from __future__ import annotations

from typing import Any

import yaml

from launcher import paths
from launcher.json_values import list_at
from launcher.render.kubernetes_workload import labels, object_name
from launcher.render.notation import Note
from launcher.render.subject import Subject

JOB = "ernie-deploy"
"""The job's name that the rules use."""


def monitoring(subject: Subject) -> list[dict[str, Any]]:
    """The ServiceMonitor, and one PrometheusRule for each file of deploy/monitoring/rules."""
    return [_service_monitor(subject), *_rules()]


def _service_monitor(subject: Subject) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": object_name(subject), "labels": labels(subject)},
        "spec": {
            "selector": {"matchLabels": labels(subject)},
            "endpoints": [
                {
                    "port": "admin",
                    "path": "/metrics",
                    "interval": "15s",
                    "scrapeTimeout": "5s",
                    "relabelings": [
                        Note(
                            "All pods call their instance by the profile's name: the pod's name "
                            "takes its place, so that the rules tell them apart."
                        ),
                        {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"},
                        {"targetLabel": "job", "replacement": JOB},
                    ],
                    "metricRelabelings": [{"action": "labeldrop", "regex": "exported_instance"}],
                }
            ],
        },
    }


def _rules() -> list[dict[str, Any]]:
    documents = []
    for path in sorted(paths.shipped("deploy", "monitoring", "rules").glob("*.yml")):
        groups = list_at(yaml.safe_load(path.read_text(encoding="utf-8")), "groups")
        documents.append(
            {
                Note(f"The same rules as deploy/monitoring/rules/{path.name}; once per cluster."): (
                    None
                ),
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": {"name": f"ernie-deploy-{path.stem}"},
                "spec": {"groups": groups},
            }
        )
    return documents
