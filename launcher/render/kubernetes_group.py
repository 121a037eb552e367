"""A server over several nodes: a LeaderWorkerSet, one group of pods for each replica.

The first pod of a group answers requests, the others work for it. FastDeploy wants the same command
line with all addresses on each (docs/features/multi-node_deployment.md); these are known when the
pods run, so a few lines of shell ask for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launcher import engines
from launcher.render import container
from launcher.render.kubernetes_workload import labels, object_name, pod
from launcher.render.notation import Note
from launcher.render.subject import Subject

API_VERSION, KIND = "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"
INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
"""Label of each pod: its number in the group, `0` for the leader."""
SCRIPT = "nodes.sh"
"""In the ConfigMap beside the profile: it asks for the addresses, then runs ernie-deploy."""
FOLDER = container.PROFILE.rpartition("/")[0]


def is_group(subject: Subject) -> bool:
    """True where a replica is several pods."""
    return subject.nodes > 1


def leader_worker_set(subject: Subject, secrets: str) -> dict[str, Any]:
    """The LeaderWorkerSet; `secrets` is the folder of the keys in its containers."""
    return {
        Note("Needs the LeaderWorkerSet controller in the cluster."): None,
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": object_name(subject), "labels": labels(subject)},
        "spec": {
            "replicas": subject.replicas,
            Note("A new group is ready before an old one goes. It needs free GPUs for one more."): (
                None
            ),
            "rolloutStrategy": {
                "type": "RollingUpdate",
                "rollingUpdateConfiguration": {"maxUnavailable": 0, "maxSurge": 1},
            },
            Note("All pods of a group start at once: they wait for each other."): None,
            "startupPolicy": "LeaderCreated",
            "leaderWorkerTemplate": {
                "size": subject.nodes,
                Note(
                    "The ranks of a server live and die together. So the keeper restarts no engine "
                    "by itself: its container ends, and the group is made anew."
                ): None,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": _template(subject, secrets, leads=True),
                "workerTemplate": _template(subject, secrets, leads=False),
            },
        },
    }


def script(subject: Subject) -> str:
    """The text of `SCRIPT`."""
    option = engines.get(subject.profile.engine).nodes_option
    text = (Path(__file__).parent / "data" / SCRIPT).read_text(encoding="utf-8")
    return text.replace("@OPTION@", str(option))


def references() -> dict[str, Any]:
    """Where kustomize finds the ConfigMap's name in a kind that it does not know."""
    path = "spec/leaderWorkerTemplate/{}/spec/volumes/configMap/name"
    return {
        "nameReference": [
            {
                "kind": "ConfigMap",
                "version": "v1",
                "fieldSpecs": [
                    {"kind": KIND, "path": path.format(template)}
                    for template in ("leaderTemplate", "workerTemplate")
                ],
            }
        ]
    }


def _template(subject: Subject, secrets: str, *, leads: bool) -> dict[str, Any]:
    arguments = [*container.COMMAND, "--set", "restart.policy=never"]
    if not leads:
        arguments += ["--set", "health.completion=false"]
    command = {"command": ["sh", "-eu", f"{FOLDER}/{SCRIPT}"], "args": arguments}
    return {
        "metadata": {"labels": labels(subject)},
        "spec": pod(subject, secrets, command, serves=leads),
    }
