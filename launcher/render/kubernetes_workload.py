"""The pods of one profile: a Deployment, and the parts that a Job shares with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from launcher.render import container
from launcher.render.container import mib
from launcher.render.notation import Note
from launcher.render.placement import MODELS
from launcher.render.settings import GPU
from launcher.render.subject import Subject

LABEL = "app.kubernetes.io/instance"
CLIENT = "ernie-deploy/client"
"""Label of pods and namespaces that may send requests."""
PROPAGATION = 10
"""Seconds until every node's proxy has taken a pod out of its service."""
LONGEST_IDLE_WAIT = 60
"""Seconds that running requests get before the stop, beside the profile's own drain."""
TICKS = {"startup": 5, "liveness": 10, "readiness": 5}
"""Seconds between two probes."""


def object_name(subject: Subject) -> str:
    """A name that Services and volumes may have too: without dots."""
    return subject.name.replace(".", "-")


def label_value(subject: Subject) -> str:
    """The value of `LABEL`."""
    return subject.name


def labels(subject: Subject) -> dict[str, str]:
    """The labels by which the pods are selected."""
    return {"app.kubernetes.io/name": "ernie-deploy", LABEL: label_value(subject)}


def deployment(subject: Subject, secrets: str) -> dict[str, Any]:
    """The Deployment; `secrets` is the folder of the keys in its containers."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": object_name(subject), "labels": labels(subject)},
        "spec": {
            "replicas": subject.replicas,
            Note("A new pod is ready before an old one goes. It needs free GPUs for one more."): (
                None
            ),
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            Note("Ready for a while, so that a server that fails at once stops the rollout."): None,
            "minReadySeconds": 30,
            Note("No progress for longer than a start takes: the rollout has failed."): None,
            "progressDeadlineSeconds": subject.start_seconds + 300,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": labels(subject)},
            "template": {
                "metadata": {"labels": labels(subject)},
                "spec": pod(subject, secrets),
            },
        },
    }


def pod(
    subject: Subject, secrets: str, command: Mapping[str, Any] | None = None, *, serves: bool = True
) -> dict[str, Any]:
    """The `spec` of a pod; `command` replaces the server's own.

    Without `serves` it is a node that only works for another one.
    """
    spec: dict[str, Any] = {
        **pod_security(),
        Note("A service called vllm would set VLLM_PORT in every pod, which the engine reads."): (
            None
        ),
        "enableServiceLinks": False,
        Note(
            f"preStop ({PROPAGATION} s for the proxies, {LONGEST_IDLE_WAIT} s for running"
            f" requests), then the keeper's own stop ({subject.stop_seconds} s, drain included):"
            " SIGKILL comes after both."
        ): None,
        "terminationGracePeriodSeconds": (
            PROPAGATION + LONGEST_IDLE_WAIT + subject.stop_seconds + 15
        ),
    }
    if subject.settings.node_selector:
        spec["nodeSelector"] = dict(subject.settings.node_selector)
    if subject.gpus:
        spec |= {
            Note("Nodes with GPUs are often kept free of other pods by this taint."): None,
            "tolerations": [
                {"key": subject.settings.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}
            ]
            if subject.settings.gpu_resource != GPU
            else [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        }
    if subject.replicas > 1 and subject.nodes == 1:
        spec |= {
            Note("Replicas on different nodes where that is possible."): None,
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": labels(subject)},
                }
            ],
        }
    if subject.settings.pull and not container.model_is_mounted(subject):
        spec |= {
            Note(
                "Downloads and verifies; a model that is in the claim already is only verified."
            ): (None),
            "initContainers": [_puller(subject, secrets)],
        }
    server = _server(subject, secrets, command or {"args": list(container.COMMAND)}, serves)
    return {**spec, "containers": [server], "volumes": _volumes(subject)}


def _puller(subject: Subject, secrets: str) -> dict[str, Any]:
    """The init container that fills the claim of the weights."""
    return {
        "name": "weights",
        "image": subject.settings.image,
        "args": ["model", "pull", container.PROFILE],
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "profile", "mountPath": "/etc/ernie-deploy", "readOnly": True},
            {"name": "weights", "mountPath": MODELS},
            {"name": "instances", "mountPath": container.INSTANCES},
            {"name": "cache", "mountPath": container.CACHE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *secret_mount(subject, secrets),
        ],
    }


def pod_security() -> dict[str, Any]:
    """What holds for every pod of ours: no token of the API server, no root."""
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": container.USER,
            "runAsGroup": container.USER,
            "fsGroup": container.USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def container_security() -> dict[str, Any]:
    """The `securityContext` of every container of ours."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def secret_mount(subject: Subject, secrets: str) -> list[dict[str, Any]]:
    """The mount of the keys; none where the profile needs none."""
    if not subject.secrets:
        return []
    return [{"name": "secrets", "mountPath": secrets, "readOnly": True}]


def secret_volume(subject: Subject) -> list[dict[str, Any]]:
    """The volume of the keys: files, because variables show up in crash reports and logs."""
    if not subject.secrets:
        return []
    items = [{"key": name, "path": name} for name in subject.secrets]
    return [
        {
            "name": "secrets",
            "secret": {"secretName": object_name(subject), "defaultMode": 0o440, "items": items},
        }
    ]


def _server(
    subject: Subject, secrets: str, command: Mapping[str, Any], serves: bool
) -> dict[str, Any]:
    restart = subject.plan.restart
    alive = (
        "The keeper restarts the engine itself: the container is replaced only where it has not "
        f"done so for longer than its own longest wait ({restart.max_delay:g} s)."
    )
    if subject.nodes > 1:
        alive = "A hang of one node: the whole group is made anew."
    # A node that only works is never asked for an answer; whether the server is ready, the first
    # node's probe says.
    readiness = {"readinessProbe": _probe("readiness", 1)} if serves else {}
    return {
        "name": "server",
        "image": subject.settings.image,
        **command,
        "ports": [
            {"name": "api", "containerPort": subject.api_port},
            {"name": "admin", "containerPort": subject.admin_port},
        ],
        "resources": _resources(subject),
        "securityContext": container_security(),
        Note(
            "The keeper's endpoint is asked, with 200 or 503 and nothing between: Kubernetes takes "
            "every status from 200 to 399 for a success; FastDeploy without weights answers 304."
        ): None,
        "startupProbe": _probe(
            "startup", math.ceil(subject.start_seconds / TICKS["startup"])
        ),
        **readiness,
        Note(alive): None,
        "livenessProbe": _probe(
            "liveness", math.ceil((restart.max_delay + 60) / TICKS["liveness"])
        ),
        "lifecycle": {
            Note(
                "The service forgets the pod while this runs; then the running requests end. "
                "SIGTERM comes after it."
            ): None,
            "preStop": {
                "exec": {
                    "command": [
                        "sh",
                        "-c",
                        f"sleep {PROPAGATION}; ernie-deploy wait {subject.name} --for idle "
                        f"--timeout {LONGEST_IDLE_WAIT}; true",
                    ]
                }
            },
        },
        "volumeMounts": [
            {"name": "profile", "mountPath": "/etc/ernie-deploy", "readOnly": True},
            {"name": "weights", "mountPath": MODELS,
             "readOnly": container.model_is_mounted(subject)},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
            {"name": "instances", "mountPath": container.INSTANCES},
            {"name": "cache", "mountPath": container.CACHE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *secret_mount(subject, secrets),
        ],
    }  # fmt: skip


def _probe(kind: str, failures: int) -> dict[str, Any]:
    path = {"startup": "/startupz", "readiness": "/readyz", "liveness": "/livez"}[kind]
    return {
        "httpGet": {"path": path, "port": "admin"},
        "periodSeconds": TICKS[kind],
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _resources(subject: Subject) -> dict[str, Any]:
    requests: dict[str, Any] = {"cpu": str(max(1, 4 * subject.gpus))}
    limits: dict[str, Any] = {}
    memory = container.container_memory(subject)
    resources: dict[str, Any] = {}
    if memory is None:
        resources[Note(f"No memory limit: {subject.memory_source}.")] = None
    else:
        resources[Note(f"Host memory: {subject.memory_source}; and /dev/shm, which counts.")] = None
        requests["memory"] = limits["memory"] = f"{mib(memory)}Mi"
    if subject.gpus:
        limits[subject.settings.gpu_resource] = str(subject.gpus)
    resources["requests"] = requests
    if limits:
        resources["limits"] = limits
    return resources


def _volumes(subject: Subject) -> list[Any]:
    name = object_name(subject)
    return [
        {"name": "profile", "configMap": {"name": f"{name}-profile"}},
        {"name": "weights", "persistentVolumeClaim": {"claimName": subject.settings.weights}},
        Note("A pod's own /dev/shm has 64 MiB. This one is memory and counts for its limit."),
        {"name": "shm",
         "emptyDir": {"medium": "Memory", "sizeLimit": f"{mib(subject.shm)}Mi"}},
        Note("State and logs of this pod: they go with it. Logs are collected from its output."),
        {"name": "instances", "emptyDir": {"sizeLimit": "8Gi"}},
        {"name": "cache", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        *secret_volume(subject),
    ]  # fmt: skip
