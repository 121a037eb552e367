"""Profiles one can look at: those that ship, those that lie here, and a new one to start from."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher import paths
from launcher.codec import written
from launcher.errors import DeployError
from launcher.json_values import JsonValue, is_list
from launcher.profile.loader import load
from launcher.profile.profile_files import shipped_profiles
from launcher.profile.schema import Key, schema

MODELS: Mapping[str, str] = {
    "fastdeploy": "baidu/ERNIE-4.5-0.3B-Paddle",
    "hosted": "baidu/ernie-4.5-21b-a3b-thinking",
}
"""The model of a new profile; other engines read the Hugging Face layout."""
OTHER_MODEL = "baidu/ERNIE-4.5-0.3B-PT"
WIDTH = 98


@dataclass(frozen=True)
class ProfileFacts:
    """What a profile is for."""

    name: str
    engine: str
    model: str | None
    description: str | None


@dataclass(frozen=True)
class ProfileRow:
    """A profile that one can look at; `problem` where it cannot be started by itself."""

    file: str
    path: str
    shipped: bool
    facts: ProfileFacts | None = field(default=None, metadata=written(inline=True))
    problem: str | None = field(default=None, metadata=written(omit=True))


def listing(folder: str = "profiles") -> tuple[ProfileRow, ...]:
    """A row for every profile in `folder` and for every one that ships, problems told."""
    rows = []
    paths = set()
    here = sorted(str(p) for p in Path(folder).glob("*.y*ml")) if os.path.isdir(folder) else []
    for path, label in [*((p, p) for p in here), *((p, n) for n, p in shipped_profiles().items())]:
        real = os.path.realpath(path)
        if real not in paths:
            paths.add(real)
            rows.append(_row(path, label, shipped=path != label))
    return tuple(rows)


def _row(path: str, label: str, *, shipped: bool) -> ProfileRow:
    row = ProfileRow(label, os.path.abspath(path), shipped)
    try:
        profile = load(path, need_model=False)
    except DeployError as error:
        # An overlay or a base is not a profile by itself; the reader sees why.
        return replace(row, problem=error.problems[0].message)
    model = profile.resolved.get("model")
    facts = ProfileFacts(
        profile.name,
        profile.engine,
        None if model is None else str(model),
        profile.description,
    )
    return replace(row, facts=facts)


def starter_for(engine: str, model: str | None) -> str:
    """A commented profile for `model`, a hub id or a local folder; None: an example."""
    local = model is not None and (model[:1] in ("/", ".", "~") or os.path.exists(model))
    if model is not None and local:
        model = os.path.abspath(os.path.expanduser(model))
    return starter(engine, model, _name(model or MODELS.get(engine, OTHER_MODEL)))


def starter(engine: str, model: str | None, name: str) -> str:
    """A profile with the keys that every profile needs, and every other one as a comment."""
    chosen: dict[str, JsonValue] = {"name": name, "engine": engine}
    if engine == "hosted":
        chosen["base-url"] = schema()["base-url"].elsewhere
    chosen["model"] = model or MODELS.get(engine, OTHER_MODEL)
    lines = [
        f"# yaml-language-server: $schema={paths.shipped('profiles', 'profile.schema.json')}",
        "# A profile for ernie-deploy. Keys that begin with `#` are examples; what holds without",
        "# them is said, or is the engine's own default. Check it: ernie-deploy validate FILE",
    ]
    for key_name, value in chosen.items():
        lines += ["", *_comment(schema()[key_name])]
        lines.append(f"{key_name}: {_yaml(value, dollars=True)}")
    for key in schema().values():
        if key.name not in chosen and key.belongs(engine):
            lines += ["", *_example(key)]
    return "\n".join(lines) + "\n"


def _example(key: Key) -> Iterator[str]:
    yield from _comment(key)
    if not key.keys:
        example = key.example if key.example is not None else key.elsewhere
        yield f"#{key.name}: {_yaml(example)}"
        return
    yield f"#{key.name}:"
    for inner in key.keys.values():
        yield from _comment(inner, "#  # ")
        yield f"#  {inner.name}: {_yaml(inner.example)}"


def _comment(key: Key, prefix: str = "# ") -> list[str]:
    text = key.meaning
    if key.default is not None and not key.keys:
        text += f" Default: {_yaml(key.default)}."
    return textwrap.wrap(
        text, WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False
    )


def _yaml(value: JsonValue, *, dollars: bool = False) -> str:
    """The value on one line; JSON is YAML where plain words will not do."""
    if isinstance(value, str):
        text = value.replace("$", "$$") if dollars else value
        plain = re.fullmatch(
            r"[A-Za-z./][A-Za-z0-9._/+-]*(:[A-Za-z0-9_./]+)*|[0-9]+[a-zA-Z]+", text
        )
        return text if plain else json.dumps(text, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items()) + "}"
    if is_list(value):
        return "[" + ", ".join(_yaml(v) for v in value) + "]"
    return json.dumps(value)


def _name(model: str) -> str:
    last = model.rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9.-]+", "-", last).strip("-.")[:48] or "ernie"
