"""`ernie-deploy model pull | verify | list`: weights on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import examples
from launcher.cli.options import duration, is_profile, load_profile
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.profile.model import Profile
    from launcher.weights.payloads import ModelList, PulledModel, VerifiedModel

HUBS = click.Choice(("huggingface", "modelscope", "aistudio"))


@click.group(
    "model",
    cls=VerbGroup,
    epilog=examples("model pull baidu/ERNIE-4.5-21B-A3B-Thinking", "model list"),
)
def command() -> None:
    """Download models whole and verified, and list them.

    `up` uses a pulled model without a download. MODEL is a hub id or a profile's path.
    """


@command.command(
    epilog=examples(
        "model pull profiles/ernie-4.5-21b-a3b-thinking.yaml",
        "model pull baidu/ERNIE-4.5-0.3B-PT --hub modelscope --to /models/ernie-0.3b",
        "model pull owner/private --token file:/run/secrets/hub",
    )
)
@click.argument("model", shell_complete=completing.models)
@click.option("--revision", metavar="REV", help="Branch, tag or commit.  [default: the hub's]")
@click.option("--hub", type=HUBS, help="Hub to ask.  [default: the profile's, else huggingface]")
@click.option("--to", metavar="DIR", help="Put the files into DIR instead.")
@click.option(
    "--token", metavar="REFERENCE", help="The hub's token: env:NAME, file:PATH or cmd:COMMAND."
)
@click.option(
    "--repair", is_flag=True, help="Read a copy that is here, download damaged files again."
)
@click.option(
    "--stall-timeout",
    metavar="TIME",
    callback=duration,
    help="Give up after this time without a byte.  [default: 5m]",
)
@json_option
@verb
def pull(
    model: str,
    revision: str | None,
    hub: str | None,
    to: str | None,
    token: str | None,
    repair: bool,
    stall_timeout: float | None,
) -> Result[PulledModel]:
    """Download MODEL, verify every file, and keep it for `up`.

    A pull that was interrupted continues. A folder with a model's name is whole: it gets its name
    after every file was compared with the hub's list.
    """
    from launcher.environments.progress import Progress
    from launcher.weights.order import make_client, make_order
    from launcher.weights.pull import pull as run_pull

    order = make_order(_subject(model), revision=revision, hub=hub, to=to, repair=repair)
    client = make_client(order.home.hub, token, stall_timeout)
    return Result("model pull", run_pull(order, client, Progress()))


@command.command(epilog=examples("model verify baidu/ERNIE-4.5-0.3B-PT", "model verify ./model"))
@click.argument("model", shell_complete=completing.models)
@click.option("--revision", metavar="REV", help="Branch, tag or commit.")
@click.option("--hub", type=HUBS, help="Hub that it was pulled from.")
@json_option
@verb
def verify(model: str, revision: str | None, hub: str | None) -> Result[VerifiedModel]:
    """Read every file of MODEL and compare it with the manifest. Asks no hub.

    MODEL can be a folder too. Exit code 1 where a file is damaged.
    """
    from pathlib import Path

    from launcher.environments.progress import Progress
    from launcher.weights import order
    from launcher.weights import verify as verifying

    folder = Path(model).expanduser()
    if folder.is_dir():
        expected = verifying.read_folder(folder)
        return verifying.verify(folder.absolute(), expected, Progress())
    copy = order.find_copy(_subject(model), revision=revision, hub=hub)
    return verifying.verify(copy.folder, copy.manifest, Progress())


@command.command("list", epilog=examples("model list --json"))
@click.option("--dir", "folder", metavar="DIR", help="Look into this `cache-dir` too.")
@json_option
@verb
def list_models(folder: str | None) -> Result[ModelList]:
    """List the models on this machine: whole, unfinished and damaged ones."""
    from pathlib import Path

    from launcher.weights import store
    from launcher.weights import verify as verifying

    more = (Path(folder).expanduser().absolute(),) if folder else ()
    return Result("model list", verifying.listing((store.default_root(), *more)))


def _subject(model: str) -> str | Profile:
    """The hub id as it is, or the profile in that file."""
    if model.endswith((".yaml", ".yml")) and is_profile(model):
        return load_profile(model, (), (), None, pulled=False)
    return model
