"""A profile for a model: what is documented for it, fitted to a GPU, each value with its source."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import engines, paths
from launcher.engines.base import Engine
from launcher.engines.recommended import (
    Documented,
    documentation,
    documented,
    model_id,
    repositories,
    repository,
)
from launcher.errors import ProfileError, UsageError
from launcher.host import weights
from launcher.nearest import did_you_mean, nearest
from launcher.plan.memory import GIB, Card, Prediction, Shape
from launcher.preparation import fit
from launcher.preparation.cards import find_card
from launcher.preparation.draft import Draft, Setting
from launcher.preparation.fit import Choice, Fitter
from launcher.preparation.memory import shape_of_files

GUESSED_CONTEXT = 32768
GUESSED_SEQUENCES = 32
GUESS = "guessed: not documented for this model"


@dataclass(frozen=True)
class Machine:
    """The GPUs to fit the profile to: `count` cards of one kind."""

    card: Card
    count: int
    capability: tuple[int, int] | None
    source: str


@dataclass(frozen=True)
class Recommendation:
    """A profile as text, and how sure it is.

    `documented`: the engine's documentation has this model. `fits` is None where it cannot be
    calculated. `notes` say what was guessed, what does not fit and what is needed instead; they
    are comments of `text` too.
    """

    name: str
    engine: str
    model: str
    text: str
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]
    documented: bool
    machine: Machine | None
    prediction: Prediction | None
    fits: bool | None


def model_names() -> tuple[str, ...]:
    """The names and repositories of the models that are known."""
    table = repositories()
    return (*dict.fromkeys(table.values()), *table)


def find_machine(gpu: str | None, count: int | None) -> Machine | None:
    """The GPUs called `gpu`, else those of this machine; None where there are none.

    Raises:
        UsageError: the table has no card of this name.
    """
    if gpu is not None:
        entry = find_card(gpu)
        source = f"--gpus {count}" if count else f"up to {fit.MOST_GPUS} are assumed"
        return Machine(entry.card, count or fit.MOST_GPUS, entry.capability, source)
    from launcher.host import gpus

    report = gpus.query()
    if not report.gpus:
        return None
    least = min(report.gpus, key=lambda one: one.memory_total)
    card = Card(least.name, least.memory_total, report.how)
    number = min(count or len(report.gpus), len(report.gpus))
    return Machine(card, number, least.compute_capability, f"this machine ({report.how})")


def recommend(model: str, engine_name: str, machine: Machine | None) -> Recommendation:
    """The profile for `model`: a hub id, a folder, or the id of a known model.

    Raises:
        UsageError: no such engine, or a single word that the table does not have.
        ProfileError: the engine cannot serve this model.
    """
    engine = engines.get(engine_name)
    folder = _folder(model)
    if folder is None and "/" not in model and model_id(model) is None:
        raise UsageError.of(
            "unknown-model-name", f"no model is called {model!r}{_meant(model)}", "MODEL",
            "a hub id has a slash, a folder begins with `./`; "
            f"known: {', '.join(dict.fromkeys(repositories().values()))}",
        )  # fmt: skip
    facts = documented(engine_name, folder or model)
    shape, notes = _shape(folder, folder or model)
    repo = facts.repo if facts else repository(model)
    draft = _draft(engine, folder or repo, facts, shape)
    if facts is None:
        notes.append(_unknown_note(engine, folder or model))
    elif facts.note:
        notes.append(facts.note)
    prediction = None
    if shape is not None and machine is not None:
        prediction, more = _fit(draft, engine, facts, shape, machine)
        notes += more
    elif machine is None:
        notes.append(
            "No GPU is visible here and `--gpu NAME` does not name one: the settings are not fitted"
            " to a card."
        )
    problems = engine.validate(draft.profile(), None)
    if problems:
        raise ProfileError(problems)
    fits = prediction.fits if prediction else None
    head = _head(draft, engine, machine, prediction, notes)
    return Recommendation(
        draft.text_of("name") or "", engine.name, draft.text_of("model") or "", draft.yaml(head),
        draft.settings, tuple(notes), facts is not None, machine, prediction, fits,
    )  # fmt: skip


def _folder(model: str) -> str | None:
    """The absolute path of a local model; None for a hub id."""
    if model[:1] in ("/", ".", "~") or os.path.isdir(model):
        return os.path.abspath(os.path.expanduser(model))
    return None


def _meant(model: str) -> str:
    names = {repo.rpartition("/")[2].lower(): repo for repo in repositories()}
    names |= {name.lower(): name for name in repositories().values()}
    return did_you_mean(model.rpartition("/")[2].lower(), names)


def _unknown_note(engine: Engine, model: str) -> str:
    names = {repo.rpartition("/")[2].lower(): repo for repo in repositories()}
    near = None if model_id(model) else nearest(model.rpartition("/")[2].lower(), names, cutoff=0.8)
    hint = f" Did you mean {names[near]}?" if near else ""
    return (
        f"GUESSED: {engine.title}'s documentation has no settings for {model}. Context, sequences"
        f" and number of GPUs are guesses, and no parsers are set: see the model's card.{hint}"
    )


def _shape(folder: str | None, model: str) -> tuple[Shape | None, list[str]]:
    """The model's shape, and why there is none."""
    facts = fit.fastdeploy_memory()
    if folder is not None:
        try:
            return shape_of_files(weights.read(Path(folder)), facts.category), []
        except (weights.BrokenCheckpoint, OSError, KeyError, TypeError, ValueError) as error:
            return None, [f"{folder} cannot be measured, so nothing is fitted to a GPU: {error}."]
    shape = facts.shape_of_table(model)
    if shape is not None:
        return shape, []
    return None, ["The size of this model is not known: download it and name the folder to fit it."]


def _draft(engine: Engine, model: str, facts: Documented | None, shape: Shape | None) -> Draft:
    version = documentation(engine.name).engine_version
    draft = Draft()
    draft.set("name", _name(model), "from the model's name")
    draft.set("engine", engine.name, "--engine")
    if version:
        draft.set("engine-version", version, "releases whose facts are known")
    page = facts.page if facts else ""
    draft.set("model", model, page if facts and model == facts.repo else "MODEL")
    draft.set("host", "127.0.0.1", "only this machine can connect")
    draft.set("ports.api", 8180, "the other ports are chosen at the start")
    takes = engine.sized
    settings = dict(facts.settings) if facts else {}
    if takes:
        parallel = settings.get("tensor-parallel-size")
        source = page if parallel else "one GPU, the engine's default"
        draft.set("tensor-parallel-size", parallel or 1, source)
    if takes and facts is None:
        context = min(shape.context if shape else GUESSED_CONTEXT, GUESSED_CONTEXT)
        settings = {"max-model-len": context, "max-num-seqs": GUESSED_SEQUENCES}
    elif takes and shape and "max-model-len" not in settings:
        draft.set("max-model-len", shape.context, "the model's context (config.json)")
    for key, value in settings.items():
        if key != "tensor-parallel-size":
            draft.set(key, value, page or GUESS)
    return draft


def _fit(
    draft: Draft, engine: Engine, facts: Documented | None, shape: Shape, machine: Machine
) -> tuple[Prediction, list[str]]:
    """Change `draft` where it does not fit; the memory plan of what it then has, and notes."""
    size, method = draft.integer("tensor-parallel-size") or 1, draft.text_of("quantization")
    sizes = fit.parallel_sizes(shape, size)
    if not engine.sized:
        machine = replace(machine, count=1)
    if not engine.sized or (facts and facts.fixed_tensor_parallel):
        sizes = (size,)
    fitter = Fitter(
        draft.profile(), shape, _quantizations(engine.name, method, facts, shape), sizes,
        facts.stored_as if facts else None,
    )  # fmt: skip
    first = Choice(size, method, draft.integer("max-model-len") or 0)
    chosen = fitter.first(machine.card, machine.count, machine.capability)
    notes = []
    if engine.memory is None:
        notes.append(
            f"{engine.title} publishes no memory figures: the fit is an estimate with FastDeploy's."
        )
    prediction = fitter.predict(chosen or first, machine.card)
    if chosen is None:
        notes.append(_needed(fitter, machine, prediction))
        return prediction, notes
    why = f"fitted to {machine.card.name} by the memory plan; documented: "
    if chosen.tensor_parallel != first.tensor_parallel:
        draft.set("tensor-parallel-size", chosen.tensor_parallel, f"{why}{first.tensor_parallel}")
    if chosen.quantization != first.quantization:
        draft.set("quantization", chosen.quantization, f"{why}{first.quantization or 'bf16'}")
    if chosen.max_model_len != first.max_model_len:
        draft.set("max-model-len", chosen.max_model_len, f"{why}{first.max_model_len}")
    return prediction, notes


def _quantizations(
    engine: str, method: str | None, facts: Documented | None, shape: Shape
) -> Sequence[str | None]:
    """The methods to try: the documented one, then stronger ones."""
    methods = documentation(engine).quantizations
    # A method is not chosen for a model for which none is documented.
    if method not in methods or (facts and facts.stored_as) or shape.stored:
        return (method,)
    return methods[methods.index(method) :]


def _needed(fitter: Fitter, machine: Machine, prediction: Prediction) -> str:
    count = f"{machine.count} x " if machine.count > 1 else ""
    note = f"DOES NOT FIT on {count}{machine.card.name}: {prediction.reason}."
    needs = [
        f"{need.gpus} x {need.card.name}"
        + (f" with {need.choice.quantization}" if need.choice.quantization else "")
        for need in fitter.needs()
    ]
    return (
        f"{note} By the memory plan it fits on, for example: {'; '.join(needs)}." if needs else note
    )


def _head(
    draft: Draft,
    engine: Engine,
    machine: Machine | None,
    prediction: Prediction | None,
    notes: Sequence[str],
) -> list[str]:
    schema = paths.shipped("profiles", "profile.schema.json")
    where = f", for {machine.card.name} ({machine.source})" if machine else ""
    head = [
        f"# yaml-language-server: $schema={schema}",
        f"{draft.text_of('model')} on {engine.title}{where}. The comment of a value is its source.",
        f"Pages: {documentation(engine.name).documentation}.",
    ]
    if prediction is not None and prediction.fits:
        ranks = prediction.ask.tensor_parallel
        fits = f"fits on {ranks} x {prediction.card.name}; for each card"
        weights_ = f"{prediction.weights / GIB:.1f} GiB of weights"
        head.append(
            f"Memory plan: {fits} {weights_} and {prediction.blocks} blocks of KV cache;"
            f" {prediction.sequences} sequences of full length at once."
            if engine.memory is not None
            else f"Estimate: {fits} {weights_}."
        )
    return [*head, *(f"NOTE: {note}" for note in notes)]


def _name(model: str) -> str:
    last = model.rstrip("/").rpartition("/")[2].lower()
    last = re.sub(r"-(paddle|pt)$", "", last)
    return re.sub(r"[^a-z0-9.-]+", "-", last).strip("-.")[:48].strip("-.") or "ernie"
