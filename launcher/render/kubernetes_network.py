"""Who reaches the pods: the Service, the NetworkPolicy; and how many may go at once."""

from __future__ import annotations

from typing import Any

from launcher.plan.model import ADMIN
from launcher.render.kubernetes_group import INDEX, is_group
from launcher.render.kubernetes_workload import CLIENT, labels, object_name
from launcher.render.notation import Note
from launcher.render.subject import Subject

MONITORING = "monitoring"
"""The namespace of Prometheus."""


def service(subject: Subject) -> dict[str, Any]:
    """The Service of the API and of the keeper's metrics."""
    selector: dict[Any, Any] = labels(subject)
    if is_group(subject):
        selector |= {Note("Only the first pod of a group answers requests."): None, INDEX: "0"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": object_name(subject), "labels": labels(subject)},
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [
                {"name": "api", "port": subject.api_port, "targetPort": "api"},
                {"name": "admin", "port": subject.admin_port, "targetPort": "admin"},
            ],
        },
    }


def network_policy(subject: Subject) -> dict[str, Any]:
    """Open are the API, for clients, and the keeper's port, for Prometheus; all else is closed."""
    closed = [
        f"{use.shown_as or use.name} ({use.number})"
        for use in subject.plan.ports
        if use.name not in ("api", ADMIN) and use.number
    ]
    reason = f" Closed with it: {', '.join(closed)}." if closed else ""
    marked = {"matchLabels": {CLIENT: "true"}}
    among = []
    if is_group(subject):
        reason = ""
        among = [
            {
                Note(
                    "Pods of one server talk on ports that they choose: queue, rendezvous, NCCL."
                ): (None),
                "from": [{"podSelector": {"matchLabels": labels(subject)}}],
            }
        ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": object_name(subject), "labels": labels(subject)},
        "spec": {
            "podSelector": {"matchLabels": labels(subject)},
            Note(f"What is not named below cannot be reached from another pod.{reason} Probes come "
                 "from the node itself, which a policy does not stop."): None,
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    Note("Clients: pods of this namespace, or of a namespace, with this label."): (
                        None
                    ),
                    "from": [{"podSelector": marked}, {"namespaceSelector": marked}],
                    "ports": [{"port": "api", "protocol": "TCP"}],
                },
                {
                    Note("Prometheus: the keeper's metrics."): None,
                    "from": [
                        {"namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}
                    ],
                    "ports": [{"port": "admin", "protocol": "TCP"}],
                },
                *among,
            ],
        },
    }  # fmt: skip


def disruption_budget(subject: Subject) -> dict[str, Any]:
    """How many pods a drain of nodes may take away at once."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": object_name(subject), "labels": labels(subject)},
        "spec": {
            Note("One after the other. With a single replica a node's drain interrupts service."): (
                None
            ),
            "maxUnavailable": 1,
            Note("A pod that does not work keeps no node from being drained."): None,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels(subject)},
        },
    }
