"""`ernie-deploy incidents [NAME] | show ID`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.targets import some_instances
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.observe.incidents import IncidentList, ShownIncident


class _Incidents(VerbGroup):
    """Without a verb of its own, the words are those of `list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` in front, unless a shell asks what could stand there."""
        first = args[0] if args else ""
        if first not in (*self.commands, "-h", "--help") and (args or not ctx.resilient_parsing):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs, and the instances that can stand for `list NAME`."""
        names = completing.instances(incomplete)
        return [*super().shell_complete(ctx, incomplete), *names]


@click.group(
    "incidents",
    cls=_Incidents,
    epilog=examples(
        "incidents", "incidents ernie-tiny-cpu", "incidents show last", arguments=TARGET
    ),
)
def command() -> None:
    """List what went wrong, or show one incident.

    `incidents` lists those of all instances, `incidents TARGET` those of one, the newest first.
    Each failure, stall, restart and killed keeper is kept with what was seen before it.
    """


@command.command("list", epilog=examples("incidents list", arguments=TARGET))
@click.argument("target", shell_complete=completing.targets, required=False)
@json_option
@verb
def list_(target: str | None) -> Result[IncidentList]:
    """List the incidents of TARGET, or of all instances."""
    from launcher.observe.incidents import list_incidents

    return list_incidents(*some_instances(target))


@command.command(
    epilog=examples(
        "incidents show last",
        "incidents show 20261128",
        "incidents show last ernie-tiny-cpu",
        arguments=TARGET,
    )
)
@click.argument("incident", metavar="ID", shell_complete=completing.incidents)
@click.argument("target", shell_complete=completing.targets, required=False)
@json_option
@verb
def show(incident: str, target: str | None) -> Result[ShownIncident]:
    """Show what happened, what was done, and where the evidence lies.

    ID is an incident's, the beginning of one, or `last`. With TARGET only its incidents are meant.
    """
    from launcher.observe.incidents import show_incident

    instances, name = some_instances(target)
    return show_incident(instances, incident, name)
