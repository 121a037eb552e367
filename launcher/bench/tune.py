"""`bench tune`: restarts an instance with one setting after the other, and proves the best one.

The profile's own setting is the first trial. After the search, the best setting and the profile's
own are measured again in turns, each time with a fresh start: only what that comparison shows is
written as an overlay. Every trial is on disk when it ends, so that the search can go on after a
Ctrl-C.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from launcher import files, paths
from launcher.bench import generator, search
from launcher.bench.comparison import judge
from launcher.bench.gates import figure, request_limits, slo_gates
from launcher.bench.metrics import BY_NAME, RequestLimits
from launcher.bench.result import (
    BenchComparison,
    BenchRun,
    Trial,
    Tuning,
    encode_run,
)
from launcher.bench.run import (
    Money,
    OnStep,
    Session,
    Subject,
    close_session,
    measure,
    open_session,
    run,
    write_document,
)
from launcher.bench.scenario import Scenario
from launcher.bench.search import Space
from launcher.codec import DecodeError, decode, encode
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem
from launcher.json_values import JsonValue
from launcher.numbers import short
from launcher.profile.model import Profile
from launcher.result import Result
from launcher.smoke.target import TargetFacts

RECORD = "tuning.json"
RECORD_SCHEMA = "ernie-deploy/bench-tuning/1"
PROOF_PASSES = 5
"""Passes of the proof: with five, a difference of twice the noise is shown almost always."""


@dataclass(frozen=True)
class Starter:
    """How a setting becomes a server: `load` reads the profile with it, `up` and `down` act.

    `up` returns what is measured and raises DeployError where the setting does not start; `fits`
    says what the memory plan has against it, None where nothing is, or nothing is known.
    """

    load: Callable[[Mapping[str, JsonValue]], Profile]
    up: Callable[[Profile], Subject]
    down: Callable[[Profile], None]
    fits: Callable[[Profile], str | None]


@dataclass(frozen=True)
class Order:
    """What to tune: the figure at the scenario's first level, the space, and the bounds."""

    objective: str
    space: Space
    trials: int
    scenario: Scenario
    path: str
    overlay: Path
    resume: bool = False


@dataclass(frozen=True)
class _Record:
    """What is kept of a search; `digest` is of everything that its scores depend on."""

    schema: str
    digest: str
    trials: tuple[Trial, ...]


def tune(starter: Starter, order: Order, on_step: OnStep) -> Result[Tuning]:
    """Search, prove, and write the overlay.

    Raises:
        DeployError: the profile itself does not start or cannot be measured; the generator is
            missing; a search of something else is in the way of `--resume`.
    """
    program = generator.find_program()
    own = starter.load({})
    folder = paths.home() / "bench" / f"tune-{own.name}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = _digest(own, order)
    trials = _read(folder, digest) if order.resume else []
    python = str(Path(program.path).with_name("python"))
    subject: Subject | None = None
    while True:
        choice: search.Choice | None = search.Choice({})
        if trials:
            choice = search.next_settings(order.space, trials, order.trials, python, 1)
        if choice is None:
            break
        note = f" ({choice.note})" if choice.note else ""
        on_step(f"trial {len(trials)} of {_most(order)}: {_text(choice.settings)}{note}")
        trial, measured = _try(starter, order, choice, len(trials), folder, on_step)
        subject = measured or subject
        trials.append(trial)
        _write(folder, _Record(RECORD_SCHEMA, digest, tuple(trials)))
        score = "no figure" if trial.score is None else short(abs(trial.score))
        outcome = trial.problem or f"{order.objective} {score}"
        on_step(f"trial {trial.number}: {outcome}")
        if trial.number == 0 and trial.score is None:
            raise PreconditionError(
                Problem(
                    "tune-no-start", f"the profile itself cannot be measured: {trial.problem}",
                    own.path, "`ernie-deploy up` and `bench` it first",
                )
            )  # fmt: skip
    best = _best(trials)
    target = _target_of(subject, own)
    proof, conclusion, overlay = None, "no other setting was better than the profile's own", None
    if best is not None and best.settings:
        on_step(f"proving {_text(best.settings)} against the profile, {PROOF_PASSES} passes")
        proof = _prove(starter, order, best.settings, on_step)
        conclusion, is_proved = _conclusion(proof, order.objective, best.settings)
        if is_proved:
            overlay = str(order.overlay)
            files.write_atomically(order.overlay, overlay_text(best.settings, own, conclusion))
    every = search.size_of(order.space) <= order.trials
    tuning = Tuning(
        target,
        f"{BY_NAME[order.objective.partition('.')[0]].title.lower()} ({order.objective})",
        tuple(trials),
        order.space,
        best.settings if best is not None else {},
        overlay,
        proof,
        conclusion,
        search.EVERY if every else _search_text(trials),
        str(folder),
    )
    code = ExitCode.DONE if overlay else ExitCode.NEGATIVE
    errors = () if overlay else (Problem("tune-nothing-better", conclusion, own.path),)
    return Result("bench tune", tuning, own.name, code, errors)


def _search_text(trials: list[Trial]) -> str:
    drawn = sum(one.note is not None for one in trials)
    return (
        f"{search.OPTUNA}; {drawn} drawn at random, without its answer" if drawn else search.OPTUNA
    )


def _most(order: Order) -> int:
    return min(order.trials, search.size_of(order.space))


def _try(
    starter: Starter,
    order: Order,
    choice: search.Choice,
    number: int,
    folder: Path,
    on_step: OnStep,
) -> tuple[Trial, Subject | None]:
    """Start, measure and stop one setting; what does not work is the trial's problem."""
    begin = time.monotonic()
    score, problem, kept = None, None, None
    subject: Subject | None = None
    try:
        profile = starter.load(choice.settings)
        problem = starter.fits(profile)
        if problem is None:
            try:
                subject = starter.up(profile)
                measured, _ = run(
                    subject, order.scenario, order.path, limits=request_limits(profile.slo),
                    money=Money(), on_step=lambda text: on_step(f"  {text}"),
                )  # fmt: skip
                score, problem = _score(measured, profile, order.objective)
                path = folder / f"trial-{number}.json"
                write_document(path, encode_run(measured))
                kept = str(path)
            finally:
                starter.down(profile)
    except DeployError as error:
        problem = error.problems[0].text()
    seconds = round(time.monotonic() - begin, 1)
    settings = dict(choice.settings)
    return Trial(number, settings, score, problem, kept, seconds, choice.note), subject


def _score(measured: BenchRun, profile: Profile, objective: str) -> tuple[float | None, str | None]:
    """The objective at the first level, higher is better; None where an SLO is missed."""
    level = measured.levels[0]
    value = figure(level, objective)
    if level.counts.succeeded == 0 or value is None:
        return None, f"no answer has {objective}: {', '.join(level.errors) or 'none came'}"
    missed = [gate for gate in slo_gates(measured, profile.slo, "slo") if gate.verdict == "missed"]
    if missed:
        return None, f"misses slo.{missed[0].name}: {missed[0].reason}"
    is_higher = BY_NAME[objective.partition(".")[0]].better == "higher"
    return (value if is_higher else -value), None


def _best(trials: list[Trial]) -> Trial | None:
    scored = [(one.score, -one.number, one) for one in trials if one.score is not None]
    return max(scored)[2] if scored else None


def _target_of(subject: Subject | None, own: Profile) -> TargetFacts:
    return subject.target.facts if subject else TargetFacts(own.name, "instance", model=own.model)


# -- the proof ------------------------------------------------------------------------------------


def _prove(
    starter: Starter, order: Order, settings: Mapping[str, JsonValue], on_step: OnStep
) -> BenchComparison:
    """The profile's own setting (A) and the best one (B) in turns, each time started anew.

    Raises:
        DeployError: one of them does not start any more, or the generator failed.
    """
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    begin = time.monotonic()
    sides = (starter.load({}), starter.load(settings))
    sessions: list[Session | None] = [None, None]
    loop, value = order.scenario.load.levels()[0]
    try:
        for number in range(1, PROOF_PASSES + 1):
            for side in (0, 1) if number % 2 else (1, 0):
                on_step(f"  pass {number} of {PROOF_PASSES}: {'AB'[side]}")
                profile = sides[side]
                try:
                    subject = starter.up(profile)
                    session = sessions[side]
                    if session is None:
                        limits: RequestLimits = request_limits(profile.slo)
                        session = open_session(
                            subject, order.scenario, order.path, limits, lambda text: None
                        )
                        session.watch.__enter__()
                        sessions[side] = session
                    session.subject = subject
                    measure(session, loop, value, number)
                finally:
                    starter.down(profile)
    finally:
        for opened in sessions:
            if opened is not None:
                opened.watch.__exit__()
    a, b = (close_session(one) for one in sessions if one is not None)
    return judge(a, b, started, round(time.monotonic() - begin, 3))


def _conclusion(
    proof: BenchComparison, objective: str, settings: Mapping[str, JsonValue]
) -> tuple[str, bool]:
    row = next((one for one in proof.figures if one.metric == objective), None)
    if row is None:
        return f"the proof has no {objective}", False
    text = f"{_text(settings)}: {objective} {row.reason} ({PROOF_PASSES} passes in turns)"
    return text, row.verdict == "better"


def overlay_text(settings: Mapping[str, JsonValue], own: Profile, conclusion: str) -> str:
    """The overlay: the settings as YAML, and in a comment what proves them."""
    document: dict[str, object] = {}
    for key, value in settings.items():
        *parents, last = key.split(".")
        node = document
        for parent in parents:
            node = node.setdefault(parent, {})  # type: ignore[assignment]
        node[last] = encode(value)
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    comment = f"# Measured by `ernie-deploy bench tune` for {own.name} on {day}.\n# {conclusion}\n"
    return comment + yaml.safe_dump(document, sort_keys=False)


# -- what is kept ---------------------------------------------------------------------------------


def _digest(own: Profile, order: Order) -> str:
    facts = [encode(own.resolved), encode(order.scenario), order.objective, encode(order.space)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _read(folder: Path, digest: str) -> list[Trial]:
    path = folder / RECORD
    try:
        record = decode(_Record, json.loads(files.read_text(path)), schema=RECORD_SCHEMA)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, DecodeError) as error:
        raise PreconditionError(
            Problem("tune-record", f"the search cannot be resumed: {error}", str(path))
        ) from None
    if record.digest != digest:
        raise PreconditionError(
            Problem(
                "tune-record",
                "the search was of another profile, scenario, objective or space",
                str(path),
                "without --resume it begins anew",
            )
        )
    return list(record.trials)


def _write(folder: Path, record: _Record) -> None:
    files.write_atomically(folder / RECORD, json.dumps(encode(record), indent=1) + "\n")


def _text(settings: Mapping[str, JsonValue]) -> str:
    return " ".join(f"{key}={json.dumps(value)}" for key, value in settings.items()) or "profile"
