"""Finding an interpreter that an engine can be installed for."""

import sys
from pathlib import Path

import pytest

from launcher.environments.pythons import fitting
from launcher.errors import ExitCode, PreconditionError, Problem

THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
REAL = getattr(sys, "_base_executable", sys.executable)


def fake(path: Path, version: str, *, modules: bool = True) -> Path:
    """Something that answers like Python `version`; without `modules` it cannot make venvs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    missing = "" if modules else "echo \"No module named 'ensurepip'\" >&2; exit 1"
    path.write_text(
        f"""#!/bin/sh
if [ "$1" = -c ]; then
  printf '\\n%s{{"version": "{version}", "executable": "{path}", "prefix": "/", ' "$4"
  printf '"folders": [], "distributions": {{}}}}\\n'
  exit 0
fi
{missing}
"""
    )
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_else(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH, a pyenv and a uv of our own, all empty."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    return tmp_path


def refused(minors: tuple[str, ...], chosen: str | None = None) -> Problem:
    with pytest.raises(PreconditionError) as caught:
        fitting(minors, chosen)
    assert caught.value.exit_code == ExitCode.PRECONDITION
    (problem,) = caught.value.problems
    assert problem.code == "no-interpreter"
    return problem


def test_the_interpreter_we_run_on_is_taken_where_it_fits() -> None:
    base = fitting((THIS,))
    assert base.version.startswith(THIS)
    assert "venv" not in base.python or base.python == REAL, "never an environment's own link"


def test_the_first_minor_version_wins_wherever_it_lies(tmp_path: Path) -> None:
    fake(tmp_path / "bin" / "python3.98", "3.98.1")
    second = fake(tmp_path / "pyenv" / "versions" / "3.99.2" / "bin" / "python3.99", "3.99.2")
    assert fitting(("3.99", "3.98")).python == str(second)


def test_newest_patch_release_of_pyenv_and_uv(tmp_path: Path) -> None:
    fake(tmp_path / "pyenv" / "versions" / "3.99.9" / "bin" / "python3.99", "3.99.9")
    newest = fake(tmp_path / "pyenv" / "versions" / "3.99.10" / "bin" / "python3.99", "3.99.10")
    assert fitting(("3.99",)).python == str(newest)

    uv = fake(tmp_path / "uv" / "cpython-3.97.4-linux-x86_64-gnu" / "bin" / "python3.97", "3.97.4")
    assert fitting(("3.97",)).python == str(uv)


def test_an_interpreter_without_venv_is_passed_over(tmp_path: Path) -> None:
    fake(tmp_path / "bin" / "python3.99", "3.99.1", modules=False)
    complete = fake(tmp_path / "pyenv" / "versions" / "3.99.0" / "bin" / "python3.99", "3.99.0")
    assert fitting(("3.99",)).python == str(complete)


def test_nothing_fits_says_what_was_looked_at(tmp_path: Path) -> None:
    torn = fake(tmp_path / "bin" / "python3.99", "3.99.1", modules=False)
    old = fake(tmp_path / "bin" / "python3", "3.9.18")

    problem = refused(("3.99",))

    assert f"{torn}: cannot make environments" in problem.message
    assert "ensurepip" in problem.message
    assert f"{old}: is Python 3.9.18" in problem.message
    assert "python3.99-venv" in (problem.remedy or "")


def test_a_chosen_interpreter_must_fit(tmp_path: Path) -> None:
    old = fake(tmp_path / "old", "3.9.18")
    assert "is Python 3.9.18" in refused(("3.11",), str(old)).message
    assert "no such file" in refused(("3.11",), str(tmp_path / "gone")).message
    assert fitting((THIS,), REAL).version.startswith(THIS)
