"""`ernie-deploy bench tune PROFILE`: find better settings by measuring them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli.bench_options import LoadOptions, load_options, progress
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options
from launcher.cli.report_options import FILE
from launcher.cli.targets import check_start, service_profile
from launcher.cli.verb import json_option, verb
from launcher.errors import PreconditionError, UsageError
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.bench.result import Tuning
    from launcher.bench.run import Subject
    from launcher.bench.tune import Starter
    from launcher.json_values import JsonValue
    from launcher.profile.model import Profile

DEFAULT_SEQS = (1, 4, 16, 64, 256)
"""Values of `max-num-seqs` that are tried where the command line names nothing."""
MOST_VALUES = 1000


@click.command(
    "tune",
    epilog=examples(
        "bench tune profile.yaml --try max-num-seqs=8,16,32,64 --concurrency 16",
        "bench tune profile.yaml --objective ttft.p90 --trials 12 --resume",
        "bench tune ernie-tiny-cpu.yaml --try engine-args.continuous-batching=true,false",
        arguments=PROFILE,
    ),
)
@click.argument("profile", metavar="PROFILE")
@click.option(
    "--try",
    "spaces",
    multiple=True,
    metavar="KEY=V,V,...",
    help="Try these values of a key (repeatable; max-num-seqs if not given).",
)
@click.option(
    "--objective",
    default="tokens_rate",
    show_default=True,
    help="What to improve at the first level: tokens_rate, requests_rate, ttft.p90, e2e.p50 ...",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 1000),
    default=12,
    show_default=True,
    help="Settings to try, beside the profile's own.",
)
@click.option("--resume", is_flag=True, help="Go on with the search that was interrupted.")
@click.option(
    "--write", "overlay", type=FILE, help="The overlay's file (NAME.tuned.yaml if not given)."
)
@profile_options
@load_options
@json_option
@verb
def command(
    profile: str,
    spaces: tuple[str, ...],
    objective: str,
    trials: int,
    resume: bool,
    overlay: Path | None,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    load: LoadOptions,
    as_json: bool,
) -> Result[Tuning]:
    """Start PROFILE with one setting after the other, measure each, and prove the best one.

    The instance must not run. Settings that the memory plan refuses are not started, those that
    miss the profile's `slo:` do not count. Exit codes: 0 a better setting is proved and written as
    an overlay; 1 nothing better than the profile was proved; 3 the profile itself does not start.
    """
    from launcher.bench.search import Space
    from launcher.bench.tune import Order, tune
    from launcher.report.files import check_writable

    if load.model is not None or load.key is not None:
        raise click.UsageError("--model and --api-key are about URLs; a profile has its own")
    chosen, path = load.read()
    check_objective(objective)
    loaded = load_profile(profile, overlays, sets, name)
    if loaded.service is not None:
        raise service_profile(loaded, profile, "bench tune")
    space: Space = dict(read_space(one) for one in spaces) or {"max-num-seqs": DEFAULT_SEQS}
    written = overlay or Path(f"{loaded.name}.tuned.yaml")
    check_writable(write=written)
    check_start(loaded.name, profile)
    check_stopped(loaded.name)
    starter = make_starter(profile, overlays, sets, name, as_json)
    order = Order(objective, space, trials, chosen, path, written, resume)
    return tune(starter, order, progress(as_json))


def check_objective(objective: str) -> None:
    """Refuse a figure that there is not.

    Raises:
        UsageError: `bad-objective`.
    """
    from launcher.bench.comparison import FIGURES

    if objective not in FIGURES:
        raise UsageError.of(
            "bad-objective", f"no figure is called {objective!r}", "--objective",
            f"one of: {', '.join(FIGURES)}",
        )  # fmt: skip


def read_space(text: str) -> tuple[str, tuple[JsonValue, ...]]:
    """The key and the values of `max-num-seqs=8,16`; each value is YAML.

    Raises:
        UsageError: `bad-space`.
    """
    import yaml

    key, sign, values = text.partition("=")
    try:
        parsed = tuple(yaml.safe_load(one) for one in values.split(","))
    except yaml.YAMLError:
        parsed = ()
    is_plain = all(isinstance(one, (str, int, float)) for one in parsed)
    if not key or not sign or not parsed or not is_plain or len(parsed) > MOST_VALUES:
        raise UsageError.of(
            "bad-space", f"{text!r} is not KEY=VALUE,VALUE", "--try",
            "for example --try max-num-seqs=8,16,32",
        )  # fmt: skip
    return key, tuple(dict.fromkeys(parsed))


def check_stopped(name: str) -> None:
    """Refuse to restart an instance that serves.

    Raises:
        PreconditionError: `already-running`.
    """
    from launcher.instance.store import instance_dir, keeper_of

    if keeper_of(instance_dir(name)) is not None:
        raise PreconditionError.of(
            "tune-in-use", f"{name} runs: its requests would fail at every trial", None,
            f"`ernie-deploy down {name}`, or --name for an instance beside it",
        )  # fmt: skip


def make_starter(
    path: str, overlays: tuple[str, ...], sets: tuple[str, ...], name: str | None, as_json: bool
) -> Starter:
    """How a setting becomes a running instance, and stops."""
    from launcher.bench.subject import make_subject
    from launcher.bench.tune import Starter
    from launcher.cli.targets import smoke_target
    from launcher.cli.up import listener
    from launcher.doctor.preflight import preflight
    from launcher.errors import DeployError, ExitCode
    from launcher.instance.store import instance_dir
    from launcher.instance.teardown import down
    from launcher.instance.up import up
    from launcher.preparation.draft import yaml_value
    from launcher.preparation.memory import memory_plan

    def load(settings: Mapping[str, JsonValue]) -> Profile:
        added = tuple(f"{key}={yaml_value(value)}" for key, value in settings.items())
        return load_profile(path, overlays, (*sets, *added), name)

    def start(profile: Profile) -> Subject:
        with listener(as_json, profile.name) as on_event:
            result = up(
                profile,
                on_event=on_event,
                preflight=lambda prepared, keeper: preflight(prepared, (), keeper),
            )
        if result.exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            raise KeyboardInterrupt  # the search ends, not only this trial
        if result.exit_code != ExitCode.DONE:
            raise PreconditionError(result.errors)
        return make_subject(smoke_target(profile.name), [instance_dir(profile.name)])

    def stop(profile: Profile) -> None:
        down(instance_dir(profile.name))

    def fits(profile: Profile) -> str | None:
        try:
            planned = memory_plan(profile, version=None, gpu=None, largest=False)
        except DeployError:
            return None  # nothing is known of this engine's memory, or no card is here
        return planned.errors[0].message if planned.exit_code != ExitCode.DONE else None

    return Starter(load, start, stop, fits)
