"""Docker Compose: one service, its profile beside it."""

from __future__ import annotations

from typing import Any

from launcher.render import container
from launcher.render.container import mib
from launcher.render.notation import Note, yaml_text
from launcher.render.placement import MODELS, SECRETS
from launcher.render.subject import Subject


def render_compose(subject: Subject) -> dict[str, str]:
    """The files `compose.yaml` and `profile.yaml`."""
    tree: dict[str, Any] = {
        "name": subject.name.replace(".", "-"),
        "services": {"server": _service(subject)},
        "volumes": {
            Note("Weights: filled by hand or by the first start."): None,
            "weights": {"name": subject.settings.weights},
            Note("State, logs, incidents: they stay when the container is replaced."): None,
            "instances": {},
            "cache": {},
        },
    }
    if subject.secrets:
        tree["secrets"] = {
            Note("One file per key, mode 0600, beside this file; never in the environment."): None,
            **{name: {"file": f"./secrets/{name}"} for name in subject.secrets},
        }
    return {"compose.yaml": yaml_text(tree), "profile.yaml": yaml_text(subject.written(SECRETS))}


def _service(subject: Subject) -> dict[str, Any]:
    service: dict[str, Any] = {
        "image": subject.settings.image,
        Note("The keeper is the container's first process: it adopts and reaps all others."): None,
        "command": list(container.COMMAND),
        "user": f"{container.USER}:{container.USER}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        **_ports(subject),
        "volumes": [
            {"type": "bind", "source": "./profile.yaml", "target": container.PROFILE,
             "read_only": True},
            {"type": "volume", "source": "weights", "target": MODELS,
             **({"read_only": True} if container.model_is_mounted(subject) else {})},
            {"type": "volume", "source": "instances", "target": container.INSTANCES},
            {"type": "volume", "source": "cache", "target": container.CACHE},
        ],
        "tmpfs": ["/tmp:mode=1777"],  # noqa: S108 - the container's own
        Note("Docker's 64 MiB just hold the engine's signals; ranks exchange data here."): None,
        "shm_size": f"{mib(subject.shm)}m",
        Note("Queues of the engine have numbers: they stay apart from those of the host."): None,
        "ipc": "private",
        Note("Pinned memory for GPUs; a file for each connection."): None,
        "ulimits": {
            "memlock": -1,
            "nofile": {"soft": container.NO_FILES, "hard": container.NO_FILES},
        },
    }  # fmt: skip
    limit = container.container_memory(subject)
    source = subject.memory_source
    if limit is None:
        service[Note(f"No memory limit: {source}.")] = None
    else:
        service[Note(f"Host memory: {source}; and shm_size, which counts too.")] = None
        service["mem_limit"] = f"{mib(limit)}m"
    deploy: dict[str, Any] = {}
    if subject.replicas > 1:
        deploy["replicas"] = subject.replicas
    if subject.gpus:
        deploy["resources"] = {"reservations": {"devices": [_devices(subject)]}}
    if deploy:
        service["deploy"] = deploy
    if subject.secrets:
        service["secrets"] = list(subject.secrets)
    return {
        **service,
        Note(
            "The keeper answers, not the engine: FastDeploy says 304 without weights, and its "
            "/health is 200 while a chat hangs."
        ): None,
        "healthcheck": {
            "test": ["CMD", "ernie-deploy", "probe", subject.name, "--ready"],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            Note("A start may take this long before a failure counts."): None,
            "start_period": f"{subject.start_seconds}s",
        },
        Note("Longer than the keeper's own deadlines of a stop: nothing is killed before them."): (
            None
        ),
        "stop_grace_period": f"{subject.stop_seconds}s",
        Note("The keeper restarts the engine; a keeper that gave up is tried a few times."): None,
        "restart": "on-failure:5",
    }


def _ports(subject: Subject) -> dict[str, Any]:
    """The API for the host; of several replicas only the front door's network has it."""
    if subject.replicas > 1:
        return {
            Note("Several replicas share no port of the host: a front door reaches these."): None,
            "expose": [str(subject.api_port), str(subject.admin_port)],
        }
    return {
        Note("On loopback: a proxy with TLS goes before it. Queue, cache and metrics ports of the "
             "engine are not published."): None,
        "ports": [
            f"127.0.0.1:{port}:{port}" for port in (subject.api_port, subject.admin_port)
        ],
    }  # fmt: skip


def _devices(subject: Subject) -> dict[str, Any]:
    if subject.profile.gpus and subject.replicas == 1:
        return {
            "driver": "nvidia",
            "device_ids": list(subject.profile.gpus),
            "capabilities": ["gpu"],
        }
    return {"driver": "nvidia", "count": subject.gpus, "capabilities": ["gpu"]}
