"""`restart`: down and up; whatever can be known to fail is found before anything is stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.errors import ExitCode
from launcher.instance.options import read_options
from launcher.instance.payloads import Down, Restart, Up
from launcher.instance.start import resolve_secrets
from launcher.instance.start_follower import OnEvent
from launcher.instance.store import InstanceDir, instance_dir, keeper_of, view
from launcher.instance.teardown import down
from launcher.instance.up import Preflight, up
from launcher.lifecycle import LIVE
from launcher.preparation import prepare
from launcher.profile.model import Profile
from launcher.result import Result

FOREGROUND = (
    "it was started with --foreground; now it runs in the background, and the program that had"
    " started it (systemd, a container's runtime) has seen it end"
)


def restart(
    profile: Profile,
    *,
    on_event: OnEvent,
    preflight: Preflight,
    arguments: Sequence[str] = (),
    force: Sequence[str] = (),
) -> Result[Restart | Down]:
    """Take the profile's instance down and bring it up again, on the ports it had.

    `arguments` are the words that ask for it, which a remedy repeats; `force` names the checks that
    `preflight` may override.

    Raises:
        DeployError: as for `up`. A missing engine, model or secret, and a port or GPU that
            another user has, are found while the instance still serves.
    """
    instance = instance_dir(profile.name)
    ports = instance.ports()
    foreground = read_options(instance).foreground and view(instance)[0] in LIVE
    if view(instance)[0] in LIVE:
        _rehearse(instance, profile, ports, preflight)
    else:
        prepare.engine_of(profile)
    stopped = down(instance)
    if stopped.exit_code is not ExitCode.DONE:
        return Result("restart", stopped.data, stopped.instance, stopped.exit_code, stopped.errors)
    started = up(
        profile,
        on_event=on_event,
        preflight=preflight,
        preferred=ports,
        arguments=arguments,
        force=force,
    )
    note = FOREGROUND if foreground else None
    data = Restart(started.data or Up(), stopped.payload, tuple(force), note)
    return Result("restart", data, started.instance, started.exit_code, started.errors)


def _rehearse(
    instance: InstanceDir, profile: Profile, ports: Mapping[str, int], preflight: Preflight
) -> None:
    prepared = prepare.prepare(profile, preferred=ports, running=True)
    try:
        preflight(prepared, keeper_of(instance))
        resolve_secrets(prepared.plan)
    finally:
        prepared.leases.release()
