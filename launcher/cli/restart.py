"""`ernie-deploy restart TARGET`."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import click

from launcher.cli import complete
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import (
    is_profile,
    load_profile,
    profile_options,
    target_instance,
    words_of,
)
from launcher.cli.up import listener
from launcher.cli.verb import json_option, verb
from launcher.errors import DeployError, ExitCode
from launcher.result import Result


@click.command(
    "restart",
    epilog=examples(
        "restart ernie-tiny-cpu", "restart profile.yaml --overlay site.yaml", words=TARGET
    ),
)
@click.argument("target", shell_complete=complete.target)
@profile_options
@click.option("--force", multiple=True, metavar="CHECK", help="As for `up`.")
@json_option
@verb
def command(
    target: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    force: tuple[str, ...],
    as_json: bool,
) -> Result:
    """Take TARGET down and bring it up again, on the ports it had.

    A profile is read anew; an instance's name restarts what ran. The profile is checked before
    anything is stopped.
    """
    from launcher.instance import prepare
    from launcher.instance.ending import down
    from launcher.instance.preflight import preflight
    from launcher.instance.store import instance
    from launcher.instance.up import up

    if is_profile(target):
        loaded = load_profile(target, overlays, sets, name)
    else:
        found = target_instance(target)
        loaded = load_profile(str(found.folder / "profile.json"), overlays, sets, name)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            # What ran is told by the resolved profile; what its owner wrote is kept as it is.
            text = (found.folder / "profile.yaml").read_text(encoding="utf-8")
            loaded = replace(loaded, text=text)
    prepare.engine_of(loaded)
    found = instance(loaded.name)
    try:
        ports = {use.name: use.number for use in found.plan().ports}
    except DeployError:
        ports = {}
    stopped = down(found)
    if stopped.exit_code is not ExitCode.DONE:
        return stopped
    started = up(
        loaded,
        on_event=listener(as_json),
        preflight=lambda prepared: preflight(prepared, force),
        preferred=ports,
        asked=words_of(target, overlays, sets, name),
    )
    data = {**started.data, "stopped": dict(stopped.data)}
    return Result("restart", data, started.instance, started.exit_code, started.errors)
