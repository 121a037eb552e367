"""Kubernetes: a kustomize base of built-in kinds, components for operators, overlays."""

from __future__ import annotations

from typing import Any

from launcher.render.kubernetes_group import (
    KIND,
    SCRIPT,
    is_group,
    leader_worker_set,
    references,
    script,
)
from launcher.render.kubernetes_monitoring import monitoring
from launcher.render.kubernetes_network import disruption_budget, network_policy, service
from launcher.render.kubernetes_rollout import rollout, scaled_object, smoke_job, smoke_template
from launcher.render.kubernetes_workload import LABEL, deployment, label_value, object_name
from launcher.render.notation import Note, yaml_documents, yaml_text
from launcher.render.subject import Subject

SECRETS = "/run/secrets/ernie-deploy"
"""/run/secrets itself has Kubernetes' own tokens."""


def render_kubernetes(subject: Subject) -> dict[str, str]:
    """`base/`, `components/` (for clusters with these operators), `overlays/`."""
    name = object_name(subject)
    several = is_group(subject)
    workload = leader_worker_set if several else deployment
    files = {
        "base/kustomization.yaml": yaml_text(_base(subject)),
        "base/profile.yaml": yaml_text(subject.written(SECRETS)),
        "base/workload.yaml": yaml_text(workload(subject, SECRETS)),
        "base/network.yaml": yaml_documents(
            [service(subject), network_policy(subject), disruption_budget(subject)]
        ),
        "components/prometheus-operator/kustomization.yaml": yaml_text(
            _component("Needs the Prometheus operator in the cluster.", ["monitoring.yaml"])
        ),
        "components/prometheus-operator/monitoring.yaml": yaml_documents(monitoring(subject)),
        "components/keda/kustomization.yaml": yaml_text(
            {
                **_component("Needs KEDA, and Prometheus for its query.", ["scaling.yaml"]),
                Note("KEDA decides the number of replicas: one that is given undoes its choice."): (
                    None
                ),
                "patches": [_patch(subject, "remove", "/spec/replicas")],
            }
        ),
        "components/keda/scaling.yaml": yaml_text(scaled_object(subject)),
        "overlays/staging/kustomization.yaml": yaml_text(
            {
                **_kustomization(["../../base"]),
                Note("One replica is enough to prove a profile."): None,
                **(
                    {"patches": [_patch(subject, "replace", "/spec/replicas", 1)]}
                    if several
                    else {"replicas": [{"name": name, "count": 1}]}
                ),
            }
        ),
        "overlays/production/kustomization.yaml": yaml_text(
            {
                **_kustomization(["../../base"]),
                Note("Take out what the cluster has no operator for."): None,
                "components": ["../../components/prometheus-operator", "../../components/keda"],
            }
        ),
        "overlays/smoke/kustomization.yaml": yaml_text(
            {
                Note(
                    "After a rollout: `kubectl delete --ignore-not-found -k overlays/smoke`, "
                    "`kubectl apply -k overlays/smoke`, and `kubectl wait "
                    f"--for=condition=complete --timeout=20m job/{name}-smoke`: where it fails, "
                    "stop the rollout."
                ): None,
                **_kustomization(["job.yaml"]),
            }
        ),
        "overlays/smoke/job.yaml": yaml_text(smoke_job(subject, SECRETS)),
    }
    if several:
        return {
            **files,
            f"base/{SCRIPT}": script(subject),
            "base/references.yaml": yaml_text(references()),
        }
    return {
        **files,
        "components/argo-rollouts/kustomization.yaml": yaml_text(
            _component("Needs Argo Rollouts; it takes over the Deployment's pods.",
                       ["rollout.yaml"])
        ),
        "components/argo-rollouts/rollout.yaml": yaml_documents(
            [smoke_template(subject, SECRETS), rollout(subject)]
        ),
    }  # fmt: skip


def _base(subject: Subject) -> dict[str, Any]:
    base: dict[str, Any] = {
        **_kustomization(["workload.yaml", "network.yaml"]),
        Note(
            "The ConfigMap's name ends with a hash of its content: a changed profile is a changed "
            "Deployment, which is rolled out."
        ): None,
        "configMapGenerator": [
            {
                "name": f"{object_name(subject)}-profile",
                "files": ["profile.yaml", *([SCRIPT] if is_group(subject) else [])],
            }
        ],
        "labels": [{"pairs": {LABEL: label_value(subject)}}],
    }
    if is_group(subject):
        base |= {
            Note("kustomize does not know LeaderWorkerSet: where the ConfigMap's name is in it."): (
                None
            ),
            "configurations": ["references.yaml"],
        }
    if subject.secrets:
        keys = " ".join(f"--from-file={name}" for name in subject.secrets)
        base[
            Note(
                "The keys are made by hand or by your secret store, never rendered: `kubectl "
                f"create secret generic {object_name(subject)} {keys}`"
            )
        ] = None
    base[
        Note(
            f"The weights are in the PersistentVolumeClaim {subject.settings.weights}, "
            "ReadWriteMany where there are several pods."
        )
    ] = None
    return base


def _kustomization(resources: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    }


def _component(needs: str, resources: list[str]) -> dict[str, Any]:
    return {
        Note(needs): None,
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": resources,
    }


def _patch(subject: Subject, operation: str, path: str, value: int | None = None) -> dict[str, Any]:
    kind = KIND if is_group(subject) else "Deployment"
    patch = f"- op: {operation}\n  path: {path}\n"
    if value is not None:
        patch += f"  value: {value}\n"
    return {"target": {"kind": kind, "name": object_name(subject)}, "patch": patch}
