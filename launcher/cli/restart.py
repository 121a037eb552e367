"""`ernie-deploy restart TARGET`."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import (
    is_profile,
    load_profile,
    profile_options,
    target_instance,
    words_of,
)
from launcher.cli.service_options import changing
from launcher.cli.targets import check_start, check_stop, target_service
from launcher.cli.up import listener
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.payloads import Down, Restart
    from launcher.instance.store import InstanceDir
    from launcher.profile.model import Profile
    from launcher.service.payloads import Deployed

IN_SERVICE = "in-service"
"""What `--force` is given to restart an instance by which alone a service is served."""


@click.command(
    "restart",
    epilog=examples(
        "restart ernie-tiny-cpu", "restart profile.yaml --overlay site.yaml", arguments=TARGET
    ),
)
@click.argument("target", shell_complete=completing.targets)
@profile_options
@click.option(
    "--force",
    multiple=True,
    metavar="CHECK",
    help="Start although this doctor check fails; by name, those of `up` too. `in-service`: also"
    " what a service depends on.",
)
@json_option
@verb
def command(
    target: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    force: tuple[str, ...],
    as_json: bool,
) -> Result[Restart | Down | Deployed]:
    """Take TARGET down and bring it up again, on the ports it had.

    A profile is read anew; an instance's name restarts what ran, past the checks that `up` was told
    to `--force`. The profile, its engine, its
    secrets and its ports are checked before anything is stopped. Of a service every replica is
    replaced by a fresh one of the same revision, without a gap: that is a rollout.
    """
    from launcher.doctor.preflight import preflight
    from launcher.instance.restart import restart

    service = target_service(target)
    if is_profile(target):
        loaded = load_profile(target, overlays, sets, name)
        if loaded.service is not None:
            return _redeploy(loaded, force, as_json)
        check_start(loaded.name, target)
    elif service is not None:
        if overlays or sets or name is not None:
            raise click.UsageError("of a service, a changed profile is served by `deploy`")
        from launcher.service.revision import served_profile

        return _redeploy(served_profile(service), force, as_json)
    else:
        if IN_SERVICE in force:
            force = tuple(one for one in force if one != IN_SERVICE)
        else:
            check_stop(target, "restart")
        instance = target_instance(target)
        path = instance.folder / "profile.json"
        force = _with_recorded(instance, force)
        loaded = load_profile(str(path), overlays, sets, name, resolved=True)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            # What ran is told by the resolved profile; what its owner wrote is kept as it is.
            text = (instance.folder / "profile.yaml").read_text(encoding="utf-8")
            loaded = replace(loaded, text=text)
    with listener(as_json, loaded.name) as on_event:
        return restart(
            loaded,
            on_event=on_event,
            preflight=lambda prepared, keeper: preflight(prepared, force, keeper),
            arguments=words_of(target, overlays, sets, name, force),
            force=force,
        )


def _redeploy(profile: Profile, force: tuple[str, ...], as_json: bool) -> Result[Deployed]:
    """A rollout of the same content with fresh replicas."""
    from launcher.service.deploy import deploy

    with changing(as_json, "", force) as request:
        return replace(deploy(profile, request, again=True), command="restart")


def _with_recorded(instance: InstanceDir, force: tuple[str, ...]) -> tuple[str, ...]:
    """`force` and the checks that `up` was told to force, but for one that exists no more."""
    from launcher.doctor import every_check
    from launcher.instance.options import read_options

    check_ids = {check.id for check in every_check()}
    recorded = [name for name in read_options(instance).force if name in check_ids]
    return tuple(dict.fromkeys((*recorded, *force)))
