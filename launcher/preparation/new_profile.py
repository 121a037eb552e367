"""`profiles init`: a new profile on stdout or in a file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from launcher import engines, files, profile
from launcher.errors import Problem, UsageError
from launcher.json_values import JsonValue
from launcher.preparation.recommendation import Recommendation, find_machine, recommend
from launcher.profile import catalogue
from launcher.result import Result


@dataclass(frozen=True)
class FittedGpu:
    """The GPUs that a profile was fitted to; `source` tells how they are known."""

    name: str
    count: int | None
    source: str


@dataclass(frozen=True)
class ProfileSetting:
    """A value of a new profile, and where it is from."""

    key: str
    value: JsonValue
    source: str


@dataclass(frozen=True)
class NewProfile:
    """`profiles init`: the profile, and the file it was written to (None: to stdout)."""

    file: str | None
    text: str
    name: str | None
    engine: str
    model: str | None
    documented: bool = False
    gpu: FittedGpu | None = None
    fits: bool | None = None
    settings: tuple[ProfileSetting, ...] = ()
    notes: tuple[str, ...] = ()


def new_profile(
    model: str | None,
    engine: str,
    *,
    gpu: str | None,
    count: int | None,
    output: str | None,
    overwrite: bool,
) -> Result[NewProfile]:
    """A profile for `model`, or without one a commented profile with every key.

    `gpu` and `count` are the GPUs to fit it to. `output` None: the text is only in the result.

    Raises:
        UsageError: unknown engine, model or GPU; the file exists or cannot be written.
        ProfileError: the engine cannot serve this model.
    """
    if model is None or not engines.get(engine).local:
        new = NewProfile(output, catalogue.starter_for(engine, model), None, engine, None)
    else:
        new = _recommended(recommend(model, engine, find_machine(gpu, count)), output)
    text = new.text
    _check(text)
    if output is not None:
        _write(Path(output), text, overwrite=overwrite)
    return Result("profiles init", new)


def _recommended(recommendation: Recommendation, output: str | None) -> NewProfile:
    machine, prediction = recommendation.machine, recommendation.prediction
    gpu = None
    if machine is not None:
        count = prediction.ask.tensor_parallel if prediction else None
        gpu = FittedGpu(machine.card.name, count, machine.source)
    return NewProfile(
        file=output,
        text=recommendation.text,
        name=recommendation.name,
        engine=recommendation.engine,
        model=recommendation.model,
        documented=recommendation.documented,
        gpu=gpu,
        fits=recommendation.fits,
        settings=tuple(ProfileSetting(s.key, s.value, s.source) for s in recommendation.settings),
        notes=tuple(recommendation.notes),
    )


def _check(text: str) -> None:
    """The text is read back as a profile before it is shown or written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.yaml"
        path.write_text(text, encoding="utf-8")
        profile.load(path, need_model=False, environ={})


def _write(path: Path, text: str, *, overwrite: bool) -> None:
    try:
        if overwrite and path.exists():
            files.write_atomically(path, text)
            return
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            Problem(
                "exists", f"{path} exists and is left as it is",
                remedy="name another file, or replace it with --force",
            )
        ) from None  # fmt: skip
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(Problem("unwritable", f"{path} cannot be written: {reason}")) from error
