"""`ernie-deploy completion bash|zsh`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from launcher.cli.examples import examples
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.report.payloads import Completion


@click.command(
    "completion",
    epilog=examples("completion bash > ~/.local/share/bash-completion/completions/ernie-deploy"),
)
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@json_option
@verb
def command(shell: str) -> Result[Completion]:
    """Print a completion script; for bash: `source <(ernie-deploy completion bash)`."""
    from launcher.cli.main import group
    from launcher.report.payloads import Completion

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    completion = kind(group, {}, "ernie-deploy", "_ERNIE_DEPLOY_COMPLETE")
    return Result("completion", Completion(shell, completion.source()))
