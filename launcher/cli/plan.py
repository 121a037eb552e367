"""`ernie-deploy plan PROFILE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.show import PlanOutput
    from launcher.plan.memory import MemoryPlan


@click.command(
    "plan",
    epilog=examples(
        "plan profile.yaml", "plan --memory --gpu h800-80g --max profile.yaml", arguments=PROFILE
    ),
)
@click.argument("profile", shell_complete=completing.profiles)
@profile_options
@click.option("--engine-version", metavar="V", help="Plan for this version, installed or not.")
@click.option("--memory", is_flag=True, help="Does it fit: weights, KV cache, overheads, host.")
@click.option(
    "--gpu",
    metavar="NAME",
    shell_complete=completing.gpus,
    help="With --memory: plan for this card, e.g. h800-80g.",
)
@click.option(
    "--max", "largest", is_flag=True, help="With --memory: how far lengths and sequences can go."
)
@json_option
@verb
def command(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    engine_version: str | None,
    memory: bool,
    gpu: str | None,
    largest: bool,
) -> Result[PlanOutput | MemoryPlan]:
    """Show exactly what `up PROFILE` would run: argv, environment, files, ports, and why.

    Of a profile with a `service:` section what one replica would run, and of a group what each of
    its instances would; `deploy --dry-run` shows the steps of the rollout.
    """
    loaded = load_profile(profile, overlays, sets, name, engine_version)
    if loaded.service is not None and loaded.service.group is not None:
        from launcher.service import group_plan

        if memory or gpu or largest:
            return group_plan.memory(loaded, version=engine_version, gpu=gpu, largest=largest)
        return group_plan.show(loaded, engine_version)
    if loaded.service is not None:
        from launcher.service.examination import example_replica

        loaded = example_replica(loaded)
    if memory or gpu or largest:
        from launcher.instance.memory_lessons import catch_up
        from launcher.preparation.memory import memory_plan

        catch_up(loaded.name)
        return memory_plan(loaded, version=engine_version, gpu=gpu, largest=largest)
    from launcher.instance.show import show_plan

    return show_plan(loaded, engine_version)
