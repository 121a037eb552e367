"""Finds an interpreter with matplotlib and draws the figures of a page there, in a bounded process.

Nothing of it is imported here: it takes half a second and 180 MB of packages.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher import subprocesses
from launcher.codec import encode
from launcher.environments import store
from launcher.environments.commands import clean_environment
from launcher.errors import Problem
from launcher.host import packages
from launcher.json_values import object_at
from launcher.report.plots.figure import Figure
from launcher.report.plots.svg import inline

SCRIPT = Path(__file__).with_name("draw.py")
LIBRARY = "matplotlib"
ENVIRONMENT = "plots"
"""What `engine install` calls the environment of matplotlib alone."""
DEADLINE = 120.0
"""Seconds for all figures of a page; 12 of them take 3 s on an idle core."""
LARGEST = 32 * 1024 * 1024
INSTALL = f"`ernie-deploy engine install {ENVIRONMENT}`"


def find_python() -> str | None:
    """An interpreter that has matplotlib: ours, or that of an installed environment."""
    if importlib.util.find_spec(LIBRARY) is not None:
        return sys.executable
    environments = store.complete()
    ordered = sorted(environments, key=lambda one: one.name != ENVIRONMENT)
    return next((one.python for one in ordered if packages.has_module(one.python, LIBRARY)), None)


def draw(figures: Sequence[Figure]) -> tuple[Mapping[str, str], Problem | None]:
    """The figures as elements of a page, by name, and why some or all of them are missing.

    A page without plots has every figure in its tables, so the page is written without them.
    """
    if not figures:
        return {}, None
    python = find_python()
    if python is None:
        return {}, Problem(
            "missing-plots",
            "the page has no plots: they need matplotlib, which no environment here has",
            None,
            f"{INSTALL} (0.2 GiB), then make the page again",
        )
    with tempfile.TemporaryDirectory(prefix="ernie-deploy-plots-") as folder:
        path = Path(folder, "figures.json")
        path.write_text(json.dumps(encode(list(figures))), encoding="utf-8")
        environment = {**clean_environment(), "MPLCONFIGDIR": folder, "HOME": folder}
        try:
            output = subprocesses.run(
                [python, "-I", str(SCRIPT), str(path)],
                deadline=DEADLINE, limit=LARGEST, env=environment, cwd=folder,
            )  # fmt: skip
        except OSError as error:
            return {}, _failed(f"{python} cannot be started: {error.strerror or error}")
    if output.timed_out or output.too_long or output.returncode != 0:
        reason = "did not end in time" if output.timed_out else output.complaint
        return {}, _failed(f"{python} {reason or f'ended with {output.returncode}'}")
    try:
        drawn = object_at(json.loads(output.text))
        return {
            one.name: inline(str(drawn[one.name]), one.name, one.title, one.text) for one in figures
        }, None
    except (ValueError, KeyError, RecursionError) as error:
        return {}, _failed(f"what it drew cannot be used: {error!r}")


def _failed(message: str) -> Problem:
    return Problem(
        "plots-failed",
        f"the page has no plots: {message}",
        None,
        f"{INSTALL}, or remove {LIBRARY} from {os.path.dirname(sys.executable)}",
    )
