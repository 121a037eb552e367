"""`plan --memory`: the model's shape, the card, the prediction, and how far it was off before.

After each start the blocks that the engine reported are kept beside the prediction in
`memory-history.jsonl` below the state directory, by host, model and quantization. `up` does it;
for a start that no `up` waited for (`--foreground`) the next plan does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher import engines, paths
from launcher.codec import decode, encode
from launcher.engines.base import MemoryFacts, Release
from launcher.engines.common import admitted
from launcher.errors import (
    ExitCode,
    PreconditionError,
    Problem,
    ProfileError,
    UsageError,
)
from launcher.host import weights
from launcher.plan import memory
from launcher.plan.memory import Card, MemoryLesson, MemoryPlan, Prediction, Shape
from launcher.preparation.cards import find_card
from launcher.profile.model import Profile
from launcher.result import Result

MIB = 1024**2

ENOUGH = 64 * MIB
"""Bytes read of one log: a server that has run for days has written gigabytes since."""


def memory_plan(
    profile: Profile,
    *,
    version: str | None,
    gpu: str | None,
    largest: bool,
    is_running: bool = False,
) -> Result[MemoryPlan]:
    """Does the profile fit; with `largest` also how far it could be stretched.

    `version` is the engine's release to plan for (None: the newest that the profile admits),
    `gpu` names a card of the table instead of the one that is here. With `is_running` the card is
    full of this very model: what others hold is not known then, and counts as nothing.

    Raises:
        UsageError: unknown card.
        ProfileError: the profile is wrong for that release.
        PreconditionError: no GPU is here and none named, or nothing is known of the model.
    """
    facts = _facts(profile)
    release = _release(profile, version)
    shape, card = shape_of(profile), card_of(profile, gpu)
    if is_running:
        card = dataclasses.replace(card, used=0)
    ask, costs = facts.ask(profile, release), facts.costs()
    try:
        prediction = memory.predict(shape, card, ask, costs)
    except KeyError as error:
        raise PreconditionError.of(
            "unknown-quantization", f"no figures for quantization {error.args[0]!r}",
            profile.where("quantization"), f"one of: {', '.join(costs.weight_bytes)}",
        ) from None  # fmt: skip
    data = MemoryPlan(shape, prediction, history(profile))
    if largest:
        data = dataclasses.replace(
            data,
            largest_model_len=memory.largest_model_len(shape, card, ask, costs),
            largest_num_seqs=memory.largest_num_seqs(shape, card, ask, costs),
        )
    if prediction.fits:
        return Result("plan", data, profile.name)
    problem = Problem(
        "does-not-fit", f"{shape.name} does not fit on {card.name}: {prediction.reason}",
        profile.where("max-model-len"),
        "more GPUs (tensor-parallel-size), a stronger quantization, or a shorter max-model-len",
    )  # fmt: skip
    return Result("plan", data, profile.name, ExitCode.NEGATIVE, (problem,))


def _release(profile: Profile, version: str | None) -> Release:
    """The release to plan for, for which the profile is right: nonsense is not reckoned with."""
    engine = engines.get(profile.engine)
    problems = engine.validate(profile, engine.release(version) if version else None)
    if problems:
        raise ProfileError(problems)
    if version is None and not engine.lines:
        from launcher import environments

        installed = environments.find(engine, profile).release
        if installed is not None:
            return installed
    return engine.release(version or admitted(profile.engine_version, engine.lines)[-1])


def _facts(profile: Profile) -> MemoryFacts:
    """What the engine knows of its memory.

    Raises:
        PreconditionError: this engine has none.
    """
    facts = engines.get(profile.engine).memory
    if facts is None:
        raise PreconditionError.of(
            "no-memory-plan", f"engine {profile.engine} has no memory plan",
            profile.where("engine"), f"it is known for {', '.join(_engines_with_memory())}",
        )  # fmt: skip
    return facts


def _engines_with_memory() -> list[str]:
    return [engine.name for engine in engines.every() if engine.memory is not None]


def shape_of(profile: Profile) -> Shape:
    """The model's shape: from its files where they are here, else from the engine's table.

    Raises:
        PreconditionError: neither is to be had, or the files are broken.
    """
    facts = _facts(profile)
    if profile.model_is_path:
        try:
            checkpoint = weights.read(Path(profile.model))
        except (weights.BrokenCheckpoint, OSError) as error:
            raise PreconditionError.of(
                "broken-checkpoint", str(error), profile.where("model"), "copy the model again"
            ) from None
        try:
            return shape_of_files(checkpoint, facts.category)
        except (KeyError, TypeError, ValueError) as error:
            raise PreconditionError.of(
                "broken-checkpoint", f"{checkpoint.folder / 'config.json'} does not say {error}",
                profile.where("model"), "copy the model again",
            ) from None  # fmt: skip
    shape: Shape | None = facts.shape_of_table(profile.model)
    if shape is None:
        raise PreconditionError.of(
            "unknown-model", f"nothing is known of {profile.model}, and its files are not here",
            profile.where("model"), "give a local folder",
        )  # fmt: skip
    return shape


def shape_of_files(checkpoint: weights.Checkpoint, category: Callable[[str, int], str]) -> Shape:
    """The shape of a checkpoint on disk, tensor by tensor."""
    parameters: dict[str, int] = {}
    stored: dict[str, int] = {}
    for tensor in checkpoint.tensors:
        kind = category(tensor.name, len(tensor.shape))
        parameters[kind] = parameters.get(kind, 0) + tensor.count
        stored[kind] = stored.get(kind, 0) + tensor.size
    # What is stored in two bytes or more is quantised while loading; less is taken as it is.
    kept = {k: size for k, size in stored.items() if size < 2 * parameters[k]}
    config = checkpoint.config
    heads = int(config["num_attention_heads"])
    hidden = int(config["hidden_size"])
    head_dim = int(config.get("head_dim") or hidden // heads)
    return Shape(
        name=checkpoint.folder.name,
        parameters=parameters,
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=head_dim,
        rotary_width=head_dim if "vision" in parameters else 0,
        hidden=hidden,
        vocab=int(config["vocab_size"]),
        context=int(config.get("max_position_embeddings") or 131072),
        checkpoint=checkpoint.size,
        largest_file=max(checkpoint.files.values()),
        source=f"measured: {len(checkpoint.tensors)} tensors in {len(checkpoint.files)} file(s)",
        stored=kept,
    )


def card_of(profile: Profile, gpu: str | None) -> Card:
    """The card to plan for: the one named, else the smallest of those the profile will use.

    Raises:
        UsageError: the table has no such card.
        PreconditionError: no GPU is here and none was named.
    """
    if gpu is not None:
        return find_card(gpu).card
    from launcher.host import gpus

    report = gpus.query()
    allowed = [g for g in report.gpus if profile.gpus is None or str(g.index) in profile.gpus]
    if not allowed:
        raise PreconditionError.of(
            "no-gpu", f"no GPU is visible here ({report.error or report.how})", None,
            "`--gpu NAME` plans for a card of the table, h800-80g for instance",
        )  # fmt: skip
    least = min(allowed, key=lambda g: g.memory_total)
    return Card(least.name, least.memory_total, report.how, least.memory_total - least.memory_free)


def history(profile: Profile) -> tuple[MemoryLesson, ...]:
    """What was predicted and reported here for this model and quantization, oldest first."""
    rows = []
    try:
        text = (paths.home() / "memory-history.jsonl").read_text(encoding="utf-8")
    except OSError:
        return ()
    here = os.uname().nodename
    for line in text.splitlines():
        try:
            row = decode(MemoryLesson, json.loads(line), tolerant=True)
        except (ValueError, RecursionError):
            # A line that was cut off, or a start that reported no block at all.
            continue
        if (row.host, row.model, row.quantization) == (here, profile.model, profile.quantization):
            rows.append(row)
    return tuple(rows)


def learn(profile: Profile, release: Release | None, folder: Path) -> MemoryLesson | None:
    """After a start: compare the prediction with the blocks the engine reported, and keep both.

    None where the engine has no memory plan, reported nothing, or no card is visible: nothing is
    learnt then, and the start is none the worse for it, nor for a disk that is full.
    """
    try:
        facts = _facts(profile)
        shape, card = shape_of(profile), card_of(profile, None)
        # The card is full of this very model by now: what others held is not known any more.
        prediction: Prediction = memory.predict(
            shape, dataclasses.replace(card, used=0), facts.ask(profile, release), facts.costs()
        )
    except (PreconditionError, UsageError, KeyError):
        return None
    blocks = facts.reported_blocks(_lines(folder))
    if not blocks:
        return None
    row = MemoryLesson(
        time=round(time.time(), 3),
        host=os.uname().nodename,
        model=profile.model,
        quantization=profile.quantization,
        card=card.name,
        predicted=prediction.blocks,
        reported=blocks,
        error=round((prediction.blocks - blocks) / blocks, 4),
    )
    with contextlib.suppress(OSError):
        path = paths.private_folder(paths.home()) / "memory-history.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(encode(row)) + "\n")
    return row


def _lines(folder: Path) -> Iterator[str]:
    """The lines of every log, of each no more than its beginning: a start tells it once."""
    for path in sorted(folder.rglob("*log*")):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    text = file.read(ENOUGH).decode("utf-8", errors="replace")
                yield from text.splitlines()
