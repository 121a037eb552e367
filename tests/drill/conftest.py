"""Fixtures, and a drill of an instance of the scripted engine."""

from __future__ import annotations

from typing import Any

from tests.support import cli
from tests.support.decoded import JsonDict
from tests.support.rig import Rig, rig

__all__ = ["RESTART", "drilled", "rig", "run_drill", "up"]

RESTART = {"policy": "on-failure", "max-restarts": 50, "first-delay": 0}
"""At once, and as often as a test needs."""
SCRIPT: JsonDict = {"drill": True}


def up(rig: Rig, script: JsonDict | None = None, **keys: Any) -> None:
    """An instance of the scripted engine that is restarted at once, whatever it dies of."""
    rig.up(script={**SCRIPT, **(script or {})}, **{"restart": RESTART, **keys})


def run_drill(rig: Rig, *arguments: str, **options: Any) -> cli.Ran:
    """`drill one --yes` without the look for other clients, which takes seconds."""
    return rig.run("drill", "one", "--yes", "--force", "in-use", "--json", *arguments, **options)


def drilled(rig: Rig, name: str, *arguments: str) -> JsonDict:
    """The one result of a drill of one scenario, which was carried out."""
    ran = run_drill(rig, "--scenario", name, *arguments)
    assert ran.rc in (0, 1), ran.output()
    (result,) = ran.json["data"]["scenarios"]
    assert result["scenario"] == name
    return dict(result)
