"""Options that the verbs of `bench` share, and what they stand for."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.options import duration
from launcher.cli.report_options import FILE
from launcher.cli.targets import is_profile, load_profile, smoke_target, target_service

if TYPE_CHECKING:
    from launcher.bench.run import Money, Subject
    from launcher.bench.scenario import Scenario
    from launcher.json_values import JsonObject


@dataclass(frozen=True)
class LoadOptions:
    """What the command line changes in a scenario; None leaves it as it is.

    `model` and `key` are for URLs.
    """

    scenario: str | None
    closed: tuple[int, ...]
    open: tuple[float, ...]
    repetitions: int | None
    requests: int | None
    seconds: float | None
    model: str | None
    key: str | None

    def read(self) -> tuple[Scenario, str]:
        """The scenario with its changes, and its path.

        Raises:
            UsageError: it is wrong.
        """
        from launcher.bench.scenario import read_scenario, with_load

        scenario, path = read_scenario(self.scenario)
        changed = with_load(
            scenario, closed=self.closed, open=self.open, repetitions=self.repetitions,
            requests=self.requests, duration=self.seconds,
        )  # fmt: skip
        return changed, path


@dataclass(frozen=True)
class MoneyOptions:
    """What the server costs, and the price list of hosted models."""

    gpu_hour: float | None
    gpus: int
    price_file: Path | None

    def read(self) -> Money:
        """The prices; a price list that is wrong is refused before the run.

        Raises:
            UsageError: the price list cannot be read.
        """
        from launcher.bench.run import Money
        from launcher.smoke.comparison.cost import prices

        prices(self.price_file)
        return Money(self.gpu_hour, self.gpus, self.price_file)


def numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    """The numbers of `1,2,4`; levels have to rise."""
    if value is None:
        return ()
    integers = param.name == "closed"
    try:
        levels = tuple(int(one) if integers else float(one) for one in value.split(","))
    except ValueError:
        example = "1,2,4,8" if integers else "0.5,1,2"
        raise click.BadParameter(f"{value!r} is not a list of numbers such as {example}") from None
    return tuple(sorted(levels))


def load_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a scenario and of URLs; `function` gets `load`, a `LoadOptions`."""

    @functools.wraps(function)
    def run(
        *args: object,
        scenario: str | None,
        closed: tuple[int, ...],
        open: tuple[float, ...],  # noqa: A002
        repetitions: int | None,
        requests: int | None,
        seconds: float | None,
        model: str | None,
        key: str | None,
        **options: object,
    ) -> int:
        load = LoadOptions(scenario, closed, open, repetitions, requests, seconds, model, key)
        return function(*args, load=load, **options)

    for option in (
        click.option("--api-key", "key", help="Key of URLs: env:NAME, file:PATH or cmd:COMMAND."),
        click.option("--model", help="The model to ask URLs for."),
        click.option("--duration", "seconds", callback=duration, metavar="TIME",
                     help="Longest time of a level in one repetition."),
        click.option("--requests", type=click.IntRange(1), help="Requests of a level, at least."),
        click.option("--repetitions", type=click.IntRange(1, 100),
                     help="Passes over all levels; their spread is the noise."),
        click.option("--rate", "open", callback=numbers, metavar="R,R,...",
                     help="Open loop: so many requests per second."),
        click.option("--concurrency", "closed", callback=numbers, metavar="N,N,...",
                     help="Closed loop: so many requests at a time."),
        click.option("--scenario", metavar="NAME|FILE", shell_complete=completing.files,
                     help="A scenario that ships (arrivals, chat, long-context, reasoning, tools)"
                     " or a YAML file."),
    ):  # fmt: skip
        run = option(run)
    return run


def money_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add `--gpu-hour`, `--gpus` and `--prices`; `function` gets `money`, a `MoneyOptions`."""

    @functools.wraps(function)
    def run(
        *args: object, gpu_hour: float | None, gpus: int, price_file: Path | None, **options: object
    ) -> int:
        return function(*args, money=MoneyOptions(gpu_hour, gpus, price_file), **options)

    for option in (
        click.option("--prices", "price_file", type=FILE,
                     help="Price list of hosted models (YAML)."),
        click.option("--gpus", type=click.IntRange(min=1), default=1, show_default=True,
                     help="GPUs behind the target, for --gpu-hour."),
        click.option("--gpu-hour", type=click.FloatRange(min=0, min_open=True),
                     help="Price of one GPU hour: shows the cost per million tokens."),
    ):  # fmt: skip
        run = option(run)
    return run


def read_subject(target: str, model: str | None, key: str | None) -> Subject:
    """What TARGET stands for, with the instances that serve it.

    Raises:
        DeployError: it does not serve.
    """
    from launcher.bench.subject import make_subject
    from launcher.smoke.targets.resolve import is_url

    if is_url(target):
        return make_subject(smoke_target(target, model=model, key=key))
    if model is not None or key is not None:
        raise click.UsageError(
            "--model and --api-key are about URLs; of this target both are known"
        )
    service = target_service(target)
    resolved = smoke_target(target)
    if service is not None:
        from launcher.service.instances import current_instances
        from launcher.service.revision import served_profile

        profile = served_profile(service).resolved
        return make_subject(resolved, current_instances(service), profile)
    if resolved.kind != "instance":
        return make_subject(resolved)
    from launcher.instance.store import open_instance

    return make_subject(resolved, [open_instance(resolved.name)])


def read_slo(target: str, subject: Subject) -> tuple[JsonObject, str]:
    """The objectives of what is measured, and where they are written.

    A profile's file that is named has its own, which may be newer than what serves.

    Raises:
        ProfileError: the profile's file is wrong.
    """
    if "://" not in target and is_profile(target):
        loaded = load_profile(target, (), (), None)
        return loaded.slo, loaded.where("slo") or target
    from launcher.json_values import object_at

    return object_at(subject.profile, "slo"), f"the profile of {subject.target.name}"


def progress(as_json: bool) -> Callable[[str], None]:
    """What tells on stderr what is done now."""

    def on_step(text: str) -> None:
        if not as_json:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    return on_step
