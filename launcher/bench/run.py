"""A run: every level of a scenario, pass after pass, with the server and the machine watched.

The passes go over all levels, lowest first, instead of repeating each level: what drifts over the
run (clocks, caches, neighbours) is spread over all levels and shows as their noise.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from launcher import __version__, files, paths
from launcher.bench import generator, metrics
from launcher.bench.generator import Program, Ran
from launcher.bench.machine import Watch, describe_machine, judge_generator
from launcher.bench.metrics import METRICS, Pass, RequestLimits
from launcher.bench.prompts import bodies, calibrate, ignores_eos
from launcher.bench.result import BenchRun, Level, Phase, Sample
from launcher.bench.scenario import Scenario
from launcher.bench.server import Around, Server, facts_of, server_figures
from launcher.errors import PreconditionError, Problem
from launcher.json_values import JsonObject, JsonValue, is_list, object_at
from launcher.redact import Redactor, is_secret_name
from launcher.smoke.clients.wire import is_local
from launcher.smoke.comparison.cost import cost, list_price, prices
from launcher.smoke.comparison.payloads import TargetCost
from launcher.smoke.target import Target

MOST_KEPT = 20
"""Folders of runs that are kept; the oldest is removed."""
OnStep = Callable[[str], None]
"""Takes a line that says what is done now, or what a level brought."""


@dataclass(frozen=True)
class Subject:
    """What is measured: the target, the server behind it, and the profile that it serves."""

    target: Target
    server: Server = field(default_factory=Server)
    profile: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class Money:
    """What a GPU hour costs, how many GPUs serve, and the list of hosted prices (None: ours)."""

    gpu_hour: float | None = None
    gpus: int = 1
    price_file: Path | None = None


@dataclass
class Session:
    """A subject made ready: its requests are written, its generator is found.

    `passes` and `around` collect what was measured, by level.
    """

    subject: Subject
    scenario: Scenario
    scenario_path: str
    program: Program
    folder: Path
    watch: Watch
    limits: RequestLimits
    started: str
    load_before: tuple[float, ...]
    notes: tuple[str, ...] = ()
    passes: dict[tuple[str, float], list[Pass]] = field(default_factory=dict)
    around: dict[tuple[str, float], list[Around]] = field(default_factory=dict)
    overload: dict[tuple[str, float], str] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    stopped: str | None = None


def make_folder(name: str) -> Path:
    """A new folder of a run, `bench/NAME-TIME` in the state directory; old ones are removed.

    Raises:
        OSError: it cannot be made.
    """
    root = paths.home() / "bench"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    safe = "".join(c if c.isalnum() or c in "-." else "-" for c in name)[:60]
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        folder = root / (f"{safe}-{stamp}" + (f"-{number}" if number else ""))
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        for old in sorted(root.iterdir(), key=lambda one: one.stat().st_mtime)[:-MOST_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return folder
    raise FileExistsError(f"{root} has a thousand runs of this second")


def open_session(
    subject: Subject, scenario: Scenario, path: str, limits: RequestLimits, on_step: OnStep
) -> Session:
    """Check what a run needs, ask the server how it counts tokens, and write the requests.

    Raises:
        PreconditionError: the generator is missing, the server does not answer, the scenario does
            not fit it, or the target's dialect or body cannot be driven.
    """
    target = subject.target
    check_target(target)
    program = generator.find_program()
    on_step(f"asking {target.name} how it counts tokens")
    calibration = calibrate(target)
    requests = bodies(scenario, target, calibration)
    folder = make_folder(target.name)
    generator.write_inputs(folder, requests)
    notes = [f"a word has {calibration.per_word:.2f} tokens here"]
    if scenario.answer.exact and not ignores_eos(target):
        notes.append(
            f"answers end where the model ends them: {target.engine or 'an unknown engine'} does "
            "not take `ignore_eos`, so their lengths vary"
        )
    # By way of the session: `tune` gives it the next subject when the server was restarted.
    session: Session

    def read(sample: Sample) -> Sample:
        return session.subject.server.sample(sample)

    session = Session(
        subject, scenario, path, program, folder, Watch(read), limits,
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        os.getloadavg(), tuple(notes),
    )  # fmt: skip
    return session


def check_target(target: Target) -> None:
    """Refuse what the generator cannot drive without showing a secret, or at all.

    Raises:
        PreconditionError: `bench-unsupported`.
    """
    reason = None
    if target.endpoint.dialect != "openai":
        reason = f"it speaks {target.endpoint.dialect}'s dialect; the benchmark speaks OpenAI's"
    elif target.endpoint.secret_fields:
        reason = "its requests hold a secret in the body, which would stand in files of the run"
    if reason is not None:
        raise PreconditionError(
            Problem("bench-unsupported", f"{target.name} cannot be measured: {reason}")
        )


def run_levels(sessions: list[Session], on_step: OnStep) -> None:
    """Measure every level of every session, in turns: A B, then B A, and so on.

    The sessions have the same scenario. A level that overloads one of them ends the climb of all.

    Raises:
        DeployError: the generator failed.
    """
    first = sessions[0]
    levels = first.scenario.load.levels()
    repetitions = first.scenario.load.repetitions
    highest = {loop: float("inf") for loop in ("closed", "open")}
    for number in range(1, repetitions + 1):
        turn = sessions if number % 2 else sessions[::-1]
        for loop, value in levels:
            if value > highest[loop]:
                continue
            for session in turn:
                label = f"{value:g} {'at a time' if loop == 'closed' else 'per second'}"
                name = f"{session.subject.target.name}: " if len(sessions) > 1 else ""
                on_step(f"{name}{label}, pass {number} of {repetitions}")
                measure(session, loop, value, number)
                level = level_of(session, (loop, value))
                on_step(f"{name}{label}: {_brief(level)}")
                if level.overload is not None:
                    highest[loop] = min(highest[loop], value)
                    session.stopped = f"{label}: {level.overload}"


def measure(session: Session, loop: Literal["closed", "open"], value: float, number: int) -> None:
    """Measure one level once more, in pass `number`.

    Raises:
        DeployError: the generator failed.
    """
    job = generator.requests_of(session.scenario, loop, value)
    before = session.subject.server.read()
    ran: Ran = generator.run_job(
        session.program, session.subject.target, session.folder, job, session.watch.follow
    )
    after = session.subject.server.read()
    key = (job.loop, job.value)
    session.passes.setdefault(key, []).append(Pass(ran.records, session.watch.begin))
    session.around.setdefault(key, []).append(Around(before, after, ran.records))
    measured = [record for record in ran.records if not record.is_warm_up]
    begin = min((record.begin for record in measured), default=ran.begin)
    end = max((record.end for record in measured), default=ran.end)
    label = f"{'c' if job.loop == 'closed' else 'r'}{job.value:g}"
    session.phases.append(
        Phase(
            label,
            number,
            round(begin - session.watch.begin, 3),
            round(end - session.watch.begin, 3),
        )
    )


def level_of(session: Session, key: tuple[str, float]) -> Level:
    """The level `key` of a session, from all that was measured of it so far."""
    loop, value = key
    level = metrics.make_level(
        "closed" if loop == "closed" else "open", value, session.passes[key], session.limits
    )
    rules = session.scenario.stop
    overload = metrics.find_overload(level, rules.error_rate, rules.ttft_p90)
    phases = [phase for phase in session.phases if phase.level == level.key]

    def is_inside(sample: Sample) -> bool:
        return any(phase.begin <= sample.at <= phase.end for phase in phases)

    samples = [sample for sample in session.watch.samples if is_inside(sample)]
    return replace(
        level,
        overload=overload,
        server=tuple(server_figures(session.around[key], samples)),
    )


def close_session(session: Session, money: Money = Money()) -> BenchRun:
    """The result of what was measured; gates are judged by `launcher.bench.gates`.

    Raises:
        UsageError: the price list cannot be read.
    """
    target = session.subject.target
    entries = prices(money.price_file)
    listed = list_price(target.model, entries)
    levels = []
    for key in session.passes:
        level = level_of(session, key)
        speed = level.rates.output_tokens.value
        worked = None
        if money.gpu_hour is not None and speed > 0:
            worked = cost(money.gpu_hour, money.gpus, {"tokens_per_second": round(speed, 3)})
        paid = TargetCost(listed, None, worked) if listed or worked else None
        levels.append(replace(level, cost=paid))
    usage = session.watch.generator("aiperf", session.program.version)
    redactor = Redactor(target.secrets)
    return BenchRun(
        target=target.facts,
        scenario=session.scenario.facts(session.scenario_path),
        started=session.started,
        seconds=round(time.monotonic() - session.watch.begin, 3),
        levels=tuple(levels),
        timeline=session.watch.samples,
        phases=tuple(session.phases),
        metrics=METRICS,
        generator=judge_generator(usage, levels),
        machine=describe_machine(session.load_before, is_local=is_local(target.endpoint.base_url)),
        versions=versions(session),
        profile=object_at(without_secrets(session.subject.profile, redactor)),
        notes=session.notes,
        stopped=session.stopped,
    )


def without_secrets(value: JsonValue, redactor: Redactor, name: str = "") -> JsonValue:
    """`value` with every secret masked, by its form or by the name of its key."""
    if isinstance(value, Mapping):
        return {key: without_secrets(one, redactor, key) for key, one in value.items()}
    if is_list(value):
        return [without_secrets(one, redactor, name) for one in value]
    if isinstance(value, str):
        is_reference = value.startswith(("env:", "file:", "cmd:"))
        return "***" if is_secret_name(name) and not is_reference else redactor.text(value)
    return value


def versions(session: Session) -> Mapping[str, str]:
    """The versions of everything that was involved, as far as they are known."""
    target = session.subject.target
    releases = {
        "ernie_deploy": __version__,
        "python": sys.version.split()[0],
        "aiperf": session.program.version,
        **facts_of(session.subject.server.plans),
    }
    if target.engine and target.release:
        releases.setdefault(target.engine, target.release)
    return releases


def run(
    subject: Subject,
    scenario: Scenario,
    path: str,
    *,
    limits: RequestLimits,
    money: Money,
    on_step: OnStep,
) -> tuple[BenchRun, Path]:
    """Measure one subject; its result and the folder with the generator's last files.

    Raises:
        DeployError: something that a run needs is missing, or the generator failed.
    """
    session = open_session(subject, scenario, path, limits, on_step)
    with session.watch:
        run_levels([session], on_step)
    return close_session(session, money), session.folder


def write_document(path: Path, document: Mapping[str, object]) -> None:
    """Write a result's JSON.

    Raises:
        OSError: it cannot be written.
    """
    files.write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _brief(level: Level) -> str:
    """One line of what a level brought."""
    first, counts = level.latencies.ttft, level.counts
    text = f"{counts.succeeded} answers, {counts.failed} failed"
    if first is not None:
        text += f", TTFT p50 {first.p50.value:.3f} s p90 {first.p90.value:.3f} s"
    text += f", {level.rates.output_tokens.value:.1f} tokens/s"
    return f"{text}; stopping here: {level.overload}" if level.overload else text
