"""Which release this interpreter pretends to have, and the data of that release."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = Path(os.path.realpath(__file__)).parents[1]
REPOSITORY = PACKAGE.parents[3]
#: Own tables, apart from the launcher's catalogue: a mistake there must meet a server that differs.
DATA = REPOSITORY / "tests" / "twin" / "releases"


def _installed() -> str:
    """The version in the name of the dist-info folder beside the package, as pip leaves it."""
    site = Path(os.path.abspath(__file__)).parents[2]
    for entry in os.listdir(site):
        if entry.startswith("fastdeploy_gpu-") and entry.endswith(".dist-info"):
            return entry[len("fastdeploy_gpu-") : -len(".dist-info")]
    return os.environ.get("TWIN_RELEASE", "2.4.0")


VERSION = _installed()
RELEASE = ".".join(VERSION.split(".")[:2])
NUMBER = tuple(int(part) for part in RELEASE.split("."))


def at_least(release: str) -> bool:
    return tuple(int(part) for part in release.split(".")) <= NUMBER


@lru_cache
def table(name: str) -> list[dict[str, Any]]:
    """The rows of ``releases/<name>.json`` for this release, as mappings."""
    document = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    rows = document["failures"] if name == "failures" else document["releases"][RELEASE]
    return [dict(zip(document["columns"], row, strict=True)) for row in rows]
