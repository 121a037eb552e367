"""What the makers of an engine and a model document for each model.

Every engine may keep `data/recommended.json` in its folder; the file names its sources. The keys
of `settings` are key paths of a profile. An engine of a third party has no such file.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.engines.fastdeploy.release_data import load
from launcher.json_values import JsonObject, JsonValue, list_at, object_at, text_at, texts_at

_ENGINES = Path(__file__).resolve().parent
_FORMATS = re.compile(r"-(Paddle|PT)$", re.IGNORECASE)


@dataclass(frozen=True)
class Documented:
    """The documented settings of one model on one engine.

    `repo` is the repository to load, `page` the page that gives the settings. `stored_as` is the
    quantization of weights that are quantised already. `fixed_tensor_parallel`: the weights are
    stored in as many parts as there are GPUs.
    """

    id: str
    repo: str
    page: str
    settings: Mapping[str, JsonValue]
    note: str = ""
    stored_as: str | None = None
    fixed_tensor_parallel: bool = False


@dataclass(frozen=True)
class Documentation:
    """All models that are documented for an engine.

    `quantizations` are the methods to try where the documented settings do not fit, from the
    weakest to the strongest.
    """

    documentation: str
    engine_version: str | None
    quantizations: tuple[str, ...]
    models: Mapping[str, JsonObject] = field(default_factory=dict)


@functools.cache
def documentation(engine: str) -> Documentation:
    """What is documented for `engine`; no model where nothing is."""
    path = _ENGINES / engine / "data" / "recommended.json"
    if not path.is_file():
        return Documentation("nothing", None, ())
    data: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    models = [entry for entry in list_at(data, "models") if isinstance(entry, Mapping)]
    return Documentation(
        text_at(data, "documentation"),
        text_at(data, "engine_version") or None,
        texts_at(data, "quantizations"),
        {text_at(entry, "id"): entry for entry in models},
    )


@functools.cache
def repositories() -> Mapping[str, str]:
    """Every repository of the model table, with the id of its model."""
    data: JsonObject = load("models.json")
    return {
        str(repo): text_at(entry, "id")
        for entry in list_at(data, "models")
        for repo in list_at(entry, "repos")
    }


def model_id(model: str) -> str | None:
    """The id of a model by its repository, a folder of the same name, or the id itself."""
    last = model.rstrip("/").rpartition("/")[2].lower()
    for repo, name in repositories().items():
        if last in (repo.rpartition("/")[2].lower(), name.lower()):
            return name
    return None


def repository(model: str) -> str:
    """The first repository of a model that is named by its id; any other name is kept."""
    lower = model.lower()
    return next((repo for repo, name in repositories().items() if name.lower() == lower), model)


def documented(engine: str, model: str) -> Documented | None:
    """The documented settings of `model` on `engine`; None where there are none.

    A model's id selects the documented repository; a repository that is named is kept, with the
    layout that the engine reads (`-Paddle` for FastDeploy, `-PT` for the others).
    """
    name = model_id(model)
    entry = documentation(engine).models.get(name) if name else None
    if name is None or entry is None:
        return None
    repo = _repository(engine, model, text_at(entry, "repo"))
    own = object_at(entry, "repos", repo.rpartition("/")[2])
    return Documented(
        name, repo, text_at(own or entry, "page"), object_at(own or entry, "settings"),
        text_at(entry, "note"), text_at(own, "stored_as") or None,
        bool(own.get("fixed_tensor_parallel")),
    )  # fmt: skip


def _repository(engine: str, model: str, recommended: str) -> str:
    last = model.rstrip("/").rpartition("/")[2].lower()
    table = {repo.rpartition("/")[2].lower(): repo for repo in repositories()}
    if last not in table:
        return recommended
    repo = table[last]
    if engine != "fastdeploy" and repo.endswith("-Paddle"):
        torch = _FORMATS.sub("-PT", repo)
        # Not every repository has a sibling in the other layout.
        return torch if torch in table.values() else recommended
    return repo
