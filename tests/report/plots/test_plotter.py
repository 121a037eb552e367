"""Plots are drawn in another process; whatever that does, a page is made and says what it lacks."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.report.plots import plotter
from launcher.report.plots.figure import Figure, Series, Span
from tests.support.engines import require

LINE = Series("p50 <$5>", (1.0, 2.0, None), (3.0, None, 4.0), (2.0, 2.0, 2.0), (4.0, 4.0, 4.0),
              ("a", "b", "c"))  # fmt: skip
FIGURE = Figure(
    "one", "One", "x", "y (ms)", (LINE, Series("flat", (1.0, 9.0), (0.0, 0.0), kind="steps")),
    "It rises.", spans=(Span(1.0, 2.0, "8"), Span(2.0, 3.0, "")), limit=3.5, limit_label="SLO",
)  # fmt: skip


def stand_in(folder: Path, body: str) -> str:
    """A program in the place of the interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def use(monkeypatch: pytest.MonkeyPatch, python: str | None) -> None:
    monkeypatch.setattr(plotter, "find_python", lambda: python)


def test_without_the_library_the_page_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, None)
    drawn, problem = plotter.draw([FIGURE])
    assert drawn == {}
    assert problem is not None
    assert problem.code == "missing-plots"
    assert "`ernie-deploy engine install plots`" in str(problem.remedy)


def test_without_figures_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "/no/such/python")
    assert plotter.draw([]) == ({}, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 'ImportError: no backend' >&2; exit 1", "ImportError: no backend"),
        ("exit 3", "ended with 3"),
        ("echo nonsense", "cannot be used"),
        ("echo '{}'", "cannot be used"),
        ("""echo '{"one": "<p/>"}'""", "not an SVG"),
    ],
)
def test_a_library_that_fails_costs_the_plots_and_not_the_page(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, stand_in(tmp_path, body))
    drawn, problem = plotter.draw([FIGURE])
    assert drawn == {}
    assert problem is not None
    assert problem.code == "plots-failed"
    assert message in problem.message


def test_a_library_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotter, "DEADLINE", 0.5)
    use(monkeypatch, stand_in(tmp_path, "exec sleep 600"))
    _, problem = plotter.draw([FIGURE])
    assert problem is not None
    assert "did not end in time" in problem.message


def test_an_interpreter_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, str(tmp_path / "gone"))
    _, problem = plotter.draw([FIGURE])
    assert problem is not None
    assert "cannot be started" in problem.message


def test_the_command_line_does_not_import_the_library() -> None:
    assert plotter.LIBRARY not in sys.modules


def test_an_installed_environment_is_found(
    home: Path, make_environment: Callable[[str, str], Path]
) -> None:
    assert plotter.find_python() is None
    python = make_environment("bench", plotter.LIBRARY)
    assert plotter.find_python() == str(python)
    own = make_environment("plots", plotter.LIBRARY)
    assert plotter.find_python() == str(own), "the one that was made for it"


@pytest.fixture
def make_environment(home: Path) -> Callable[[str, str], Path]:
    def make(name: str, module: str) -> Path:
        folder = home / "engines" / f"{name}-1.0"
        python = folder / "bin" / "python"
        (folder / "lib" / "python3.11" / "site-packages" / module).mkdir(parents=True)
        python.parent.mkdir()
        python.touch()
        (folder / "ernie-deploy.json").write_text(
            f'{{"schema": "ernie-deploy/environment/1", "name": "{name}", "version": "1.0"}}'
        )
        return python

    return make


def test_the_real_library_draws_what_a_page_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, require("plots"))
    drawn, problem = plotter.draw([FIGURE])
    assert problem is None, problem
    svg = drawn["one"]
    for text in ("p50 &lt;$5&gt;", "y (ms)", "SLO", "flat", "It rises."):
        assert text in svg
    assert "currentColor" in svg
    assert "style=" not in svg
