"""`ernie-deploy explain WORD`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli.examples import examples
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.diagnose.pages import Explanation, PageIndex


@click.command("explain", epilog=examples("explain port-taken", "explain exit-code 4"))
@click.argument("names", nargs=-1, metavar="[ED-... | CODE | CHECK | RUNBOOK | exit-code N]")
@json_option
@verb
def command(names: tuple[str, ...]) -> Result[Explanation | PageIndex]:
    """Print the page of a rule (ED-...), an error code, a doctor check, an exit code or a runbook.

    Without a word every page is listed.
    """
    from launcher.diagnose import pages

    if not names:
        return Result("explain", pages.index())
    return Result("explain", pages.Explanation(pages.page(names)))
