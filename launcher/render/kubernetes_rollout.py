"""What follows a rollout: the smoke test that decides about it, and scaling by the queue."""

from __future__ import annotations

from typing import Any

from launcher.render.kubernetes_group import API_VERSION, KIND, is_group
from launcher.render.kubernetes_monitoring import JOB
from launcher.render.kubernetes_workload import (
    CLIENT,
    container_security,
    labels,
    object_name,
    pod_security,
    secret_mount,
    secret_volume,
)
from launcher.render.notation import Note
from launcher.render.subject import Subject

QUEUE_SHARE = 8
"""One more replica where more than this part (1/8) of max-num-seqs waits for each that there is."""
SMOKE_SECONDS = 900
"""The smoke run's own budget (15 min)."""


def smoke_job(subject: Subject, secrets: str) -> dict[str, Any]:
    """The Job that proves the service after a rollout."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{object_name(subject)}-smoke", "labels": _smoke_labels()},
        "spec": _job(subject, secrets),
    }


def smoke_template(subject: Subject, secrets: str) -> dict[str, Any]:
    """The same Job as an analysis of Argo Rollouts: where it fails, the rollout is undone."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": f"{object_name(subject)}-smoke"},
        "spec": {
            "metrics": [
                {"name": "smoke", "failureLimit": 0,
                 "provider": {"job": {"spec": _job(subject, secrets)}}}
            ]
        },
    }  # fmt: skip


def rollout(subject: Subject) -> dict[str, Any]:
    """The Rollout that takes the pods of the Deployment over."""
    name = object_name(subject)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "labels": labels(subject)},
        "spec": {
            "replicas": subject.replicas,
            "selector": {"matchLabels": labels(subject)},
            "workloadRef": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name,
                Note("The Deployment's pods go when those of the Rollout are ready."): None,
                "scaleDown": "onsuccess",
            },
            "strategy": {
                "canary": {
                    "maxSurge": 1,
                    "maxUnavailable": 0,
                    "steps": [
                        {"setWeight": 1},
                        {"analysis": {"templates": [{"templateName": f"{name}-smoke"}]}},
                        {"setWeight": 100},
                    ],
                }
            },
        },
    }  # fmt: skip


def scaled_object(subject: Subject) -> dict[str, Any]:
    """KEDA's ScaledObject on the engine's queue."""
    threshold = max(1, (subject.profile.max_num_seqs or 32) // QUEUE_SHARE)
    return {
        Note(
            "By requests that wait, not by processor time: an engine that is full waits for its GPU"
            " and uses no more of the CPU."
        ): None,
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": object_name(subject), "labels": labels(subject)},
        "spec": {
            "scaleTargetRef": _scaled(subject),
            "minReplicaCount": subject.replicas,
            Note("As many as there are GPUs for; raise it in an overlay."): None,
            "maxReplicaCount": 2 * subject.replicas,
            Note("A new replica loads for minutes: what was started is not stopped at once."): None,
            "cooldownPeriod": 600,
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleDown": {
                            "stabilizationWindowSeconds": 600,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
                        }
                    }
                }
            },
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {
                        "serverAddress": "http://prometheus-operated.monitoring:9090",
                        "query": (
                            f'sum(ernie_deploy_engine_requests_waiting{{job="{JOB}",'
                            f'service="{object_name(subject)}"}})'
                        ),
                        "threshold": str(threshold),
                    },
                }
            ],
        },
    }


def _scaled(subject: Subject) -> dict[str, Any]:
    name = object_name(subject)
    if is_group(subject):
        return {"apiVersion": API_VERSION, "kind": KIND, "name": name}
    return {"name": name}


def _smoke_labels() -> dict[str, str]:
    """Not those of the server: the Service must not select the pods of the Job."""
    return {"app.kubernetes.io/name": "ernie-deploy-smoke"}


def _job(subject: Subject, secrets: str) -> dict[str, Any]:
    arguments = [
        "smoke", f"http://{object_name(subject)}:{subject.api_port}",
        "--engine", subject.profile.engine, "--release", subject.release,
        "--junit", "/tmp/smoke.xml",  # noqa: S108 - the pod's own folder
    ]  # fmt: skip
    reference = subject.profile.api_key
    if reference is not None and reference.kind == "env":
        arguments += ["--api-key", f"file:{secrets}/{reference.value}"]
    return {
        Note("A verdict is not repeated: a test that passes the second time has failed."): None,
        "backoffLimit": 0,
        "activeDeadlineSeconds": SMOKE_SECONDS + 300,
        "ttlSecondsAfterFinished": 24 * 3600,
        "template": {
            "metadata": {"labels": {**_smoke_labels(), CLIENT: "true"}},
            "spec": {
                **pod_security(),
                "restartPolicy": "Never",
                "containers": [
                    {
                        "name": "smoke",
                        "image": subject.settings.image,
                        "args": arguments,
                        "resources": {
                            "requests": {"cpu": "500m", "memory": "512Mi"},
                            "limits": {"memory": "1Gi"},
                        },
                        "securityContext": container_security(),
                        "volumeMounts": [
                            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                            *secret_mount(subject, secrets),
                        ],
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}, *secret_volume(subject)],
            },
        },
    }
