"""Podman under systemd: a quadlet, from which podman makes the unit."""

from __future__ import annotations

from launcher.instance.systemd_unit import IN_SECONDS, MOST_STARTS, restart_lines
from launcher.render import container
from launcher.render.container import mib
from launcher.render.notation import comment, yaml_text
from launcher.render.placement import MODELS, SECRETS
from launcher.render.subject import Subject

KILLED = 137
"""Exit code of a container that was killed (128 + SIGKILL), as its health check does."""


def render_quadlet(subject: Subject) -> dict[str, str]:
    """The files `NAME.container` (for /etc/containers/systemd) and `NAME.yaml`."""
    lines = [
        *comment(
            f"Install it as /etc/containers/systemd/{subject.name}.container, the profile as "
            f"/etc/ernie-deploy/{subject.name}.yaml; `systemctl daemon-reload` makes the unit "
            f"{subject.name}.service. It needs podman 4.4 or later."
        ),
        "",
        "[Unit]",
        f"Description=ERNIE model server {subject.name} (ernie-deploy)",
        "Wants=network-online.target",
        "After=network-online.target",
        f"StartLimitIntervalSec={IN_SECONDS}",
        f"StartLimitBurst={MOST_STARTS}",
        "",
        *_container(subject),
        "",
        "[Service]",
        *comment("The keeper extends the start timeout while the engine loads."),
        f"TimeoutStartSec={subject.start_seconds}",
        *comment("Longer than podman's own wait before it kills, which is the keeper's deadline."),
        f"TimeoutStopSec={subject.stop_seconds + 15}",
        *restart_lines(KILLED),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return {
        f"{subject.name}.container": "\n".join(lines) + "\n",
        f"{subject.name}.yaml": yaml_text(subject.written(SECRETS)),
    }


def _container(subject: Subject) -> list[str]:
    read_only = ",ro" if container.model_is_mounted(subject) else ""
    lines = [
        "[Container]",
        f"Image={subject.settings.image}",
        f"ContainerName={subject.name}",
        f"Exec={' '.join(container.COMMAND)}",
        *comment(
            "READY=1 comes from the keeper, after a completion was answered; not from podman."
        ),
        "Notify=true",
        f"User={container.USER}",
        f"Group={container.USER}",
        "ReadOnly=true",
        "NoNewPrivileges=true",
        "DropCapability=all",
        *comment(
            "On loopback: a proxy with TLS goes before it. Queue, cache and metrics ports of the "
            "engine are not published."
        ),
        *(f"PublishPort=127.0.0.1:{p}:{p}" for p in (subject.api_port, subject.admin_port)),
        f"Volume=/etc/ernie-deploy/{subject.name}.yaml:{container.PROFILE}:ro",
        f"Volume={subject.settings.weights}:{MODELS}:U{read_only}",
        *comment("State, logs, incidents: they stay when the container is replaced."),
        f"Volume=ernie-deploy-{subject.name}-instances:{container.INSTANCES}:U",
        f"Volume=ernie-deploy-{subject.name}-cache:{container.CACHE}:U",
        *comment("The engine's signals and queues, and what ranks exchange."),
        f"PodmanArgs=--shm-size={mib(subject.shm)}m",
        *comment("Queues of the engine have numbers: they stay apart from those of the host."),
        "PodmanArgs=--ipc=private",
        *comment("Pinned memory for GPUs; a file for each connection."),
        "PodmanArgs=--ulimit=memlock=-1:-1",
        f"PodmanArgs=--ulimit=nofile={container.NO_FILES}:{container.NO_FILES}",
        f"PodmanArgs=--stop-timeout={subject.stop_seconds}",
    ]
    limit = container.container_memory(subject)
    if limit is None:
        lines += comment(f"No memory limit: {subject.memory_source}.")
    else:
        lines += comment(f"Host memory: {subject.memory_source}; and the shared memory.")
        lines.append(f"PodmanArgs=--memory={mib(limit)}m")
    if subject.gpus:
        lines += comment("By the container device interface: `nvidia-ctk cdi generate` first.")
        names = subject.profile.gpus or tuple(str(n) for n in range(subject.gpus))
        lines += [f"AddDevice=nvidia.com/gpu={name}" for name in names]
    for name in subject.secrets:
        lines += comment(f"`podman secret create {name} FILE` first.")
        lines.append(f"Secret={name},type=mount,target={name},uid={container.USER},mode=0400")
    lines += [
        *comment(
            "A stalled engine is restarted by its keeper; this is for a keeper that hangs. The "
            "probe asks the keeper, not the engine."
        ),
        f"HealthCmd=ernie-deploy probe {subject.name} --live",
        "HealthInterval=30s",
        "HealthTimeout=5s",
        "HealthRetries=4",
        f"HealthStartPeriod={subject.start_seconds}s",
        "HealthOnFailure=kill",
    ]
    return lines
