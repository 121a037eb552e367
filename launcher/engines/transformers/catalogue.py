"""The command lines of `transformers serve`, per release, read from `data/serve.json`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from launcher.engines.options import Option, OptionTable

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
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return tuple(_serve(version, entry) for version, entry in data["releases"].items())


def serve_of(version: str) -> Serve:
    """The server of `version`: the newest one read that is not newer."""
    exact = Version(version)
    older = [s for s in releases() if Version(s.version).release[:2] <= exact.release[:2]]
    return older[-1] if older else releases()[0]


def _serve(version: str, entry: Mapping[str, Any]) -> Serve:
    options = [
        Option(
            name=o["name"],
            flags=tuple(o["flags"]),
            action=o.get("action", "store"),
            kind=o["kind"],
            default=o["default"],
            choices=tuple(o["choices"]) if o.get("choices") else None,
            meaning=o["meaning"],
        )
        for o in entry["options"]
    ]
    return Serve(
        version,
        entry["module"],
        None if entry["model"] == "positional" else entry["model"],
        entry["health"],
        entry["preloads"],
        OptionTable.of("transformers", ".".join(version.split(".")[:2]), options),
    )
