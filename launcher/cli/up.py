"""`ernie-deploy up PROFILE`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options, words_of
from launcher.cli.targets import check_start, service_profile
from launcher.cli.verb import json_option, verb
from launcher.errors import UsageError
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.payloads import Up
    from launcher.instance.show import PlanOutput
    from launcher.instance.start_follower import OnEvent


@click.command(
    "up",
    epilog=examples(
        "up profiles/ernie-tiny-cpu.yaml",
        "up profile.yaml --set max-model-len=32768 --name second",
        arguments=PROFILE,
    ),
)
@click.argument("profile", shell_complete=completing.profiles)
@profile_options
@click.option("--foreground", is_flag=True, help="Stay, as systemd and containers want it.")
@click.option(
    "--force", multiple=True, metavar="CHECK", help="Start although this doctor check fails."
)
@click.option("--dry-run", is_flag=True, help="The same as the verb `plan`.")
@json_option
@verb
def command(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    foreground: bool,
    force: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> Result[Up | PlanOutput]:
    """Bring PROFILE's server up and prove that it works.

    Returns when a completion came back from a process of ours with the settings asked for.
    A second `up` of the same profile changes nothing; of a changed one it shows the difference.
    """
    if foreground and as_json and not dry_run:
        # This process becomes the keeper, whose one reader is a supervisor's journal.
        raise UsageError.of(
            "usage", "--foreground prints no JSON: --json does not go with it", "--json",
            "`ernie-deploy status NAME --json` beside it, or `logs NAME --source events`",
        )  # fmt: skip
    loaded = load_profile(profile, overlays, sets, name)
    if loaded.service is not None:
        raise service_profile(loaded, profile, "up")
    check_start(loaded.name, profile)
    if dry_run:
        from launcher.instance.show import show_plan

        return show_plan(loaded)
    from launcher.doctor.preflight import preflight
    from launcher.instance.up import up

    with listener(as_json, loaded.name) as on_event:
        return up(
            loaded,
            on_event=on_event,
            foreground=foreground,
            preflight=lambda prepared, keeper: preflight(prepared, force, keeper),
            arguments=words_of(profile, overlays, sets, name, force),
            force=force,
        )


def listener(as_json: bool, name: str) -> AbstractContextManager[OnEvent]:
    """What shows the events of a start of the instance: JSON lines, or progress on stderr."""
    if as_json:
        from launcher.report import emit_line

        return nullcontext(emit_line)
    from launcher.report.progress import ProgressLines

    if not sys.stderr.isatty():
        return ProgressLines(sys.stderr)
    from launcher.instance.history import expected_seconds
    from launcher.instance.store import instance_dir

    return ProgressLines(sys.stderr, expected_seconds(instance_dir(name).folder))
