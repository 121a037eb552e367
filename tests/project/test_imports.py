"""What `make test` does not import or collect can be imported and collected too.

A name that was renamed in the code and is still used in a benchmark or at the top of a long run
would else be noticed hours later. `make lint` runs this file.
"""

import importlib
import subprocess
import sys

import pytest

from tests.support import ROOT
from tests.support.imports import modules

TWIN = ROOT / "tests" / "twin" / "package"
"""Not imported here: the package `fastdeploy` of the twin's own interpreter."""
LIBRARIES = {"torch", "transformers", "sentencepiece"}
"""Only in an engine's environment."""


HELPERS = [
    name
    for name, path in modules("tests")
    if not path.name.startswith("test_") and TWIN not in path.parents
]


@pytest.mark.parametrize("module", HELPERS)
def test_what_tests_and_benchmarks_share_can_be_imported(module: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES:
            raise


def test_the_long_runs_are_collected() -> None:
    files = [
        str(path)
        for _, path in modules("tests")
        if path.name.startswith("test_") and "pytest.mark.soak" in path.read_text(encoding="utf-8")
    ]
    assert files
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "soak", *files]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    without = [file for file in files if f"{file.rpartition('/')[2]}::" not in ran.stdout]
    assert without == [__file__], "a file that names the mark has long runs"
