"""systemd: a template unit for the replicas of one machine, a target that starts them, a profile.

The unit itself is that of `ernie-deploy enable`; this adds what a unit of the system needs that is
not made for one person's shell: a user of its own, credentials, hardening.
"""

from __future__ import annotations

from launcher.instance.systemd_unit import Specifier, UnitText
from launcher.render.notation import comment, yaml_text
from launcher.render.placement import CREDENTIALS
from launcher.render.subject import STATE, Subject

PROGRAM = "/opt/ernie-deploy/bin/ernie-deploy"
CONFIGURATION = "/etc/ernie-deploy"
USER = "ernie-deploy"

_CONFINED = (
    ("The service writes to its own folders only.", ("ProtectSystem=strict", "PrivateTmp=yes")),
    (
        "Homes are hidden, and so is /run/user: leases are kept in the runtime folder.",
        ("ProtectHome=yes",),
    ),
    (
        "No process gains rights. CUDA needs none; a kernel module is loaded by the host.",
        (
            "NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=",
            "RestrictSUIDSGID=yes", "ProtectKernelModules=yes",
        ),
    ),
    (
        "ProtectControlGroups stays off: with Delegate the keeper makes a cgroup for the engine.",
        (
            "ProtectKernelTunables=yes", "ProtectHostname=yes",
            "RestrictNamespaces=yes", "RestrictRealtime=yes", "LockPersonality=yes",
            "SystemCallArchitectures=native",
        ),
    ),
    (
        "MemoryDenyWriteExecute stays off: CUDA, Triton and XLA compile at run time. @debug is for"
        " the stacks that an incident keeps.",
        ("SystemCallFilter=@system-service @debug", "SystemCallErrorNumber=EPERM"),
    ),
    (
        "AF_NETLINK: the keeper asks the kernel who owns a port.",
        ("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",),
    ),
    (
        "Pinned memory, one file per connection, threads of every library.",
        ("LimitMEMLOCK=infinity", "LimitNOFILE=65536", "TasksMax=infinity"),
    ),
)  # fmt: skip
_DEVICES = (
    "DevicePolicy=closed",
    *(
        f"DeviceAllow=char-{group} rw"
        for group in ("nvidia", "nvidiactl", "nvidia-uvm", "nvidia-caps", "nvidia-frontend")
    ),
)


def render_systemd(subject: Subject) -> dict[str, str]:
    """The files: `NAME.yaml` for /etc/ernie-deploy, the others for /etc/systemd/system."""
    name = subject.name
    target = f"ernie-deploy-{name}.target"
    return {
        f"ernie-deploy-{name}@.service": _unit(subject, target),
        target: _target(subject),
        f"{name}.yaml": yaml_text(subject.written(CREDENTIALS)),
    }


def _unit(subject: Subject, target: str) -> str:
    name = subject.name
    own_gpus = subject.replicas > 1 and subject.gpus > 0
    lines = [
        *comment(
            "One user of its own, made at the start, for all instances: they share the leases of "
            f"ports and GPUs. Install the engine as root with ERNIE_DEPLOY_HOME={STATE.parent}/"
            "private/ernie-deploy, or name its `python` in the profile."
        ),
        f"User={USER}",
        "DynamicUser=yes",
        "StateDirectory=ernie-deploy",
        "CacheDirectory=ernie-deploy",
        "RuntimeDirectory=ernie-deploy",
        *comment("The leases of the other instances are in it: it stays when one of them stops."),
        "RuntimeDirectoryPreserve=yes",
        'Environment="ERNIE_DEPLOY_HOME=%S/ernie-deploy" "HOME=%C/ernie-deploy"',
        'Environment="XDG_CACHE_HOME=%C/ernie-deploy" "XDG_RUNTIME_DIR=%t/ernie-deploy"',
    ]
    for secret in subject.secrets:
        lines += comment("A key as a file that only this service can read, not as a variable.")
        lines.append(f"LoadCredential={secret}:{CONFIGURATION}/secrets/{secret}")
    if own_gpus:
        lines += comment(
            f"Each replica has {subject.gpus} GPU(s) of its own, named by CUDA_VISIBLE_DEVICES=... "
            f"in this file."
        )
        lines.append(f"EnvironmentFile={CONFIGURATION}/{name}-%i.env")
    for reason, settings in _CONFINED:
        lines += [*comment(reason), *settings]
    if subject.gpus and subject.settings.gpu_resource.startswith("nvidia.com/"):
        lines += comment(
            "ProtectClock closes every device that is not named, so the GPU's devices are named; "
            "PrivateDevices would hide them."
        )
        lines += ["ProtectClock=yes", *_DEVICES]
    elif not subject.gpus:
        lines += [*comment("No GPU, so no devices."), "ProtectClock=yes", "PrivateDevices=yes"]
    return UnitText(
        name=f"{name} %i",
        head=(
            *comment(
                f"Install it as /etc/systemd/system/ernie-deploy-{name}@.service; `systemctl "
                f"enable --now {target}` starts the replicas. `systemd-analyze verify` checks it."
            ),
            "",
        ),
        system=True,
        argv=(
            PROGRAM, "up", f"{CONFIGURATION}/{name}.yaml", "--foreground", "--name",
            Specifier(f"{name}-%i"),
        ),
        env={},
        env_file=None,
        after=(),
        start_timeout=subject.start_seconds,
        stop_timeout=subject.stop_seconds,
        service=lines,
        part_of=target,
    ).text()  # fmt: skip


def _target(subject: Subject) -> str:
    replicas = " ".join(
        f"ernie-deploy-{subject.name}@{number}.service" for number in range(1, subject.replicas + 1)
    )
    return "\n".join(
        [
            "[Unit]",
            f"Description=All replicas of {subject.name} (ernie-deploy)",
            *comment("Wants, not Requires: one replica that fails takes no other with it."),
            f"Wants={replicas}",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )
