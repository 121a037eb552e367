"""What of this server others can reach and read, and how to close it."""

from __future__ import annotations

import ipaddress
import stat
from pathlib import Path

from launcher.doctor.model import Check, Outcome, Subject, fail, ok, warn
from launcher.plan.model import PortUse
from launcher.redact import holds_secret

_QUEUES = ("engine-worker-queue", "cache-queue")


def queues(subject: Subject) -> Outcome | None:
    """Anyone who reaches Q or C and knows a constant of the source is given code execution."""
    plan = subject.plan
    if plan is None:
        return None
    queues = [p for p in plan.ports if p.name.startswith(_QUEUES)]
    open_ = [p for p in queues if p.bound and _public(p.address)]
    closed = [_closed(p) for p in queues if not p.bound]
    if not open_:
        return ok("; ".join(closed) or "no queue listens on other addresses")
    summary_ports = ", ".join(_describe(subject, p) for p in open_)
    note = "".join(f"; {one}" for one in closed)
    return warn(
        f"{summary_ports} accept anyone who knows a constant of the source, and unpickle what"
        " they send"
        f"{note}",
        _firewall(subject, open_),
    )


def metrics(subject: Subject) -> Outcome | None:
    """M shows /metrics and the effective configuration to anyone, without a key."""
    plan = subject.plan
    if plan is None:
        return None
    use = next((p for p in plan.ports if p.name == "metrics"), None)
    if use is None or not use.bound or not _public(use.address):
        return ok("the metrics are not on a port of their own")
    env = {e.name: e.value for e in plan.env}
    key = "FD_API_KEY" in env or "FD_API_KEY" in plan.secrets
    summary = f"{_describe(subject, use)} answers anyone: /metrics, /config-info"
    remedy = _firewall(subject, [use])
    if key:
        return warn(f"{summary}, which shows FD_API_KEY in clear", remedy)
    return warn(summary, remedy)


def api(subject: Subject) -> Outcome | None:
    """An API on a public address without a key."""
    profile = subject.profile
    if profile is None:
        return None
    if not _public(profile.host):
        return ok(f"the API listens on {profile.host} only")
    if profile.api_key is None and not profile.env.get("FD_API_KEY"):
        return warn(
            f"the API listens on {profile.host} and asks for no key",
            "set `api-key: env:NAME` in the profile, or `host: 127.0.0.1` behind a proxy",
        )
    return ok(f"the API listens on {profile.host} and asks for a key under /v1")


def argv(subject: Subject) -> Outcome | None:
    """A command line is readable by every user of the machine."""
    plan = subject.plan
    if plan is None:
        return None
    if any(word.startswith("--api-key") or holds_secret(word) for word in plan.argv):
        return fail(
            "a key or password would stand in the command line, which `ps` shows to everyone",
            "give it as `api-key: env:NAME`; FastDeploy before 2.3 has no other way: leave it out",
        )
    return ok("no secret in the command line")


def logs(subject: Subject) -> Outcome | None:
    """FastDeploy writes its environment with mode 0644 and every prompt into its logs."""
    plan = subject.plan
    if plan is None:
        return None
    folder = Path(plan.log_folder)
    for path in (folder, *folder.parents):
        if not path.exists():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077 == 0:
            return ok(f"prompts and settings in {folder} are behind {path}, mode {mode:04o}")
        if path == folder or path.name in ("logs", "instances"):
            return fail(
                f"{path} has mode {mode:04o}: others can read prompts and the environment",
                f"chmod 700 {path}",
            )
        break
    return ok(f"{folder} will be made with mode 0700; it holds prompts and settings in clear")


def _public(address: str) -> bool:
    """True where an address is reachable from other machines."""
    if address in ("", "localhost"):
        return address == ""
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True


def _closed(use: PortUse) -> str:
    """A queue that listens on no port."""
    if use.socket is None:
        return f"{use.name} does not listen with these settings"
    return f"{use.name} is the unix socket {use.socket}"


def _describe(subject: Subject, use: PortUse) -> str:
    number = "a port chosen at the start" if use.name in subject.auto_ports else str(use.number)
    return f"{use.name} {use.address}:{number}"


def _firewall(subject: Subject, uses: list[PortUse]) -> str:
    ports = ", ".join(
        f"PORT-OF-{use.name.upper()}" if use.name in subject.auto_ports else str(use.number)
        for use in uses
    )
    return (
        f"nft add table inet ernie; nft 'add chain inet ernie input {{ type filter hook input "
        f"priority 0; }}'; nft add rule inet ernie input iifname != lo tcp dport "
        f"{{ {ports} }} drop"
    )


CHECKS = (
    Check(
        "exposed-queues",
        "FastDeploy's queues cannot be reached from other machines",
        "they listen on all addresses whatever `host` is, and unpickling is code execution",
        queues,
        engines=("fastdeploy",),
    ),
    Check(
        "exposed-metrics",
        "the metrics port shows nothing to other machines",
        "/config-info needs no key and shows the environment, FD_API_KEY included",
        metrics,
        engines=("fastdeploy",),
    ),
    Check(
        "exposed-api",
        "the API is private or asks for a key",
        "anyone who reaches it can use the GPU",
        api,
    ),
    Check(
        "exposed-key",
        "no secret stands in the command line",
        "`ps` and /proc show command lines to every user",
        argv,
    ),
    Check(
        "exposed-logs",
        "prompts and settings in the logs are private",
        "FastDeploy writes its whole environment and every prompt into files of mode 0644",
        logs,
    ),
)
