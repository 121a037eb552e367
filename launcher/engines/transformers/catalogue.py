"""The command lines of `transformers serve`, per release, read from `data/serve.json`."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from launcher.engines.options import ACTIONS, KINDS, Option, OptionTable
from launcher.json_values import JsonValue, at, list_at, object_at, text_at, texts_at

DATA = Path(__file__).parent / "data" / "serve.json"

OLDEST = "4.54"
"""The first release whose `serve` speaks the chat completions API."""


@dataclass(frozen=True)
class Serve:
    """One release's server: `version` read, and what `options` say.

    `model_flag` is None where the model is a positional argument; `health`: it has `/health`.
    `preloads`: a model given at start is loaded before the port opens; otherwise with the first
    request.
    """

    version: str
    module: str
    model_flag: str | None
    health: bool
    preloads: bool
    options: OptionTable


@functools.lru_cache(maxsize=1)
def releases() -> tuple[Serve, ...]:
    """Every release that was read, oldest first."""
    data = object_at(json.loads(DATA.read_text(encoding="utf-8")), "releases")
    return tuple(_serve(version, entry) for version, entry in data.items())


def serve_of(version: str) -> Serve:
    """The server of `version`: the newest one read that is not newer."""
    exact = Version(version)
    older = [s for s in releases() if Version(s.version).release[:2] <= exact.release[:2]]
    return older[-1] if older else releases()[0]


def _serve(version: str, entry: JsonValue) -> Serve:
    options = [
        Option(
            name=text_at(raw, "name"),
            flags=texts_at(raw, "flags"),
            action=ACTIONS[text_at(raw, "action", default="store")],
            kind=KINDS[text_at(raw, "kind")],
            default=at(raw, "default"),
            choices=texts_at(raw, "choices") or None,
            meaning=text_at(raw, "meaning"),
        )
        for raw in list_at(entry, "options")
    ]
    model = text_at(entry, "model")
    return Serve(
        version,
        text_at(entry, "module"),
        None if model == "positional" else model,
        at(entry, "health") is True,
        at(entry, "preloads") is True,
        OptionTable.of("transformers", ".".join(version.split(".")[:2]), options),
    )
