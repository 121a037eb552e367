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


#: An uncatalogued release: flags that 2.6 lacks, and those of 2.6 that it lacks.
FUTURE_FLAGS = [
    [["--answer-cache-size"], "answer_cache_size", "Cache Configuration", "store", "int", 0,
     None, None],
]  # fmt: skip
FUTURE_GONE = ("deploy_modality",)
#: Options of develop that the branch of 2.3 lacked on 2025-11-06: it depends on the wheel.
NOT_IN_EARLY_WHEELS = (
    "api_key", "router", "max_logprobs", "disable_chunked_mm_input",
    "disable_sequence_parallel_moe", "use_internode_ll_two_stage",
)  # fmt: skip


def _flags(releases: dict[str, list[list[Any]]]) -> list[list[Any]]:
    newest = max(releases)
    rows = releases.get(RELEASE, releases[newest])
    if VERSION == "2.3.0":
        return [row for row in rows if row[1] not in NOT_IN_EARLY_WHEELS]
    if newest < RELEASE:
        return [row for row in rows if row[1] not in FUTURE_GONE] + FUTURE_FLAGS
    return rows


@lru_cache
def table(name: str) -> list[dict[str, Any]]:
    """The rows of ``releases/<name>.json`` for this release, as mappings."""
    document = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    if name == "failures":
        rows = document["failures"]
    elif name == "flags":
        rows = _flags(document["releases"])
    else:
        rows = document["releases"].get(RELEASE, document["releases"][max(document["releases"])])
    return [dict(zip(document["columns"], row, strict=True)) for row in rows]
