"""`profiles init`: a new profile on stdout or in a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from launcher import engines, files, profile
from launcher.errors import Problem, UsageError
from launcher.json_values import JsonObject
from launcher.preparation.recommendation import Recommendation, find_machine, recommend
from launcher.profile import catalogue
from launcher.result import Result


def new_profile(
    model: str | None,
    engine: str,
    *,
    gpu: str | None,
    count: int | None,
    output: str | None,
    overwrite: bool,
) -> Result:
    """A profile for `model`, or without one a commented profile with every key.

    `gpu` and `count` are the GPUs to fit it to. `output` None: the text is only in the result.

    Raises:
        UsageError: unknown engine, model or GPU; the file exists or cannot be written.
        ProfileError: the engine cannot serve this model.
    """
    if model is None or not engines.get(engine).local:
        text, details = catalogue.starter_for(engine, model), _no_details(engine)
    else:
        recommendation = recommend(model, engine, find_machine(gpu, count))
        text, details = recommendation.text, _details(recommendation)
    _check(text)
    if output is not None:
        _write(Path(output), text, overwrite=overwrite)
    return Result("profiles init", {"file": output, "text": text, **details})


def _no_details(engine: str) -> JsonObject:
    return {
        "name": None, "engine": engine, "model": None, "documented": False, "gpu": None,
        "fits": None, "settings": [], "notes": [],
    }  # fmt: skip


def _details(recommendation: Recommendation) -> JsonObject:
    machine, prediction = recommendation.machine, recommendation.prediction
    return {
        "name": recommendation.name,
        "engine": recommendation.engine,
        "model": recommendation.model,
        "documented": recommendation.documented,
        "gpu": None
        if machine is None
        else {
            "name": machine.card.name,
            "count": prediction.ask.tensor_parallel if prediction else None,
            "source": machine.source,
        },
        "fits": recommendation.fits,
        "settings": [
            {"key": setting.key, "value": setting.value, "source": setting.source}
            for setting in recommendation.settings
        ],
        "notes": list(recommendation.notes),
    }


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
