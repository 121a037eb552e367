"""`ernie-deploy keys list | rotate`: the keys of a service's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.service_options import message_option, service_name
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.key_payloads import KeyList, KeyRotation


@click.group(
    "keys", cls=VerbGroup,
    epilog=examples("keys list ernie-thinking", "keys rotate ernie-thinking", arguments=TARGET),
)  # fmt: skip
def command() -> None:
    """List and rotate the API keys of a service's clients.

    Keys are references in the profile (`service.keys`); no command shows one. Who used them how
    much: `ernie-deploy usage`.
    """


@command.command("list", epilog=examples("keys list ernie-thinking", arguments=TARGET))
@click.argument("service", shell_complete=completing.services)
@json_option
@verb
def list_keys(service: str) -> Result[KeyList]:
    """Show the keys of SERVICE by name, their limits, and whether the front door accepts them."""
    from launcher.service.key_verbs import list_keys as run

    return run(service_name(service))


@command.command(
    epilog=examples("keys rotate ernie-thinking -m 'monthly rotation'", arguments=TARGET)
)
@click.argument("service", shell_complete=completing.services)
@message_option
@json_option
@verb
def rotate(service: str, message: str) -> Result[KeyRotation]:
    """Resolve the references of SERVICE again and accept those keys and no others.

    Nothing is restarted or reloaded, and requests with other keys are not touched. Names and limits
    come from the profile: `deploy` changes them.
    """
    from launcher.service.key_verbs import rotate_keys

    return rotate_keys(service_name(service), message)
