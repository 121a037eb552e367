"""The error boundary: every way out of a command has its answer and its exit code."""

import ast
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from launcher.cli.boundary import run
from launcher.errors import DeadlineError, DeployError, PreconditionError
from launcher.result import Result
from tests.support import ROOT, cli
from tests.support.imports import modules
from tests.support.rig import Rig


def raises(error: BaseException) -> Callable[..., int]:
    def function(*_: object, **options: object) -> int:
        raise error

    return function


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("error", "code", "names"),
    [
        (PreconditionError.of("no-such", "there is none"), 3, ["no-such"]),
        (DeadlineError.of("late", "too late"), 5, ["late"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (click.Abort(), 130, ["interrupted"]),
        (click.UsageError("wrong"), 2, ["usage"]),
        (click.BadParameter("wrong"), 2, ["usage"]),
        (ZeroDivisionError("oops"), 70, ["defect"]),
        (click.ClickException("not foreseen"), 70, ["defect"]),
        (OSError(5, "Input/output error"), 70, ["defect"]),
        (RecursionError(), 70, ["defect"]),
        (MemoryError(), 70, ["defect"]),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_every_error_has_its_code(
    error: BaseException, code: int, names: list[str], as_json: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    argv = ["status", "--json"] if as_json else ["status"]
    assert run(raises(error), argv) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    if as_json:
        envelope = json.loads(captured.out)
        assert (envelope["exit_code"], [e["code"] for e in envelope["errors"]]) == (code, names)
        if not isinstance(error, click.UsageError):
            assert envelope["command"] == "status"
    else:
        assert captured.out == ""
        assert captured.err


def test_what_needs_no_word_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: 7, []) == 7
    assert run(raises(click.exceptions.Exit(4)), []) == 4
    assert capsys.readouterr() == ("", "")


def test_the_verb_knows_more_than_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = DeployError.of("x", "y")
    run(raises(error), ["profiles", "list"], command="profiles list", as_json=True)
    assert json.loads(capsys.readouterr().out)["command"] == "profiles list"


def test_a_boundary_in_a_boundary_answers_once(capsys: pytest.CaptureFixture[str]) -> None:
    error = DeployError.of("code", "the only answer")
    code = run(lambda: run(raises(error), ["status"]), ["status"])
    assert code == error.exit_code
    assert capsys.readouterr().err.count("the only answer") == 1


def test_an_answer_that_cannot_be_shown_is_a_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verb's own boundary fails while it shows; the process's tells of it."""
    from launcher import report

    real = report.emit
    monkeypatch.setattr(report, "emit", raises(ValueError("no renderer")))

    def inner() -> int:
        try:
            return run(lambda: Result("status", {"a": 1}), ["status"])
        finally:
            monkeypatch.setattr(report, "emit", real)

    assert run(inner, ["status"]) == 70
    assert "no renderer" in capsys.readouterr().err


PREAMBLE = "import sys; from launcher.cli.boundary import run; from launcher.result import Result\n"


@pytest.mark.parametrize(
    "code",
    [
        "sys.exit(run(lambda: print('x' * 10_000_000) or 3, []))",
        "sys.exit(run(lambda: Result('x', {'a': 'b' * 10_000_000}), ['--json']))",
        "sys.exit(run(lambda: sys.stdout.write('few') and 0, []))",
        "import launcher.cli.main as m; sys.exit(run(lambda: m.invoke(['up', '--help']), []))",
    ],
)
def test_a_reader_that_went_away_is_no_failure(code: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + "sys.stdin.read()\n" + code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.close()
    _, errors = child.communicate()
    assert (child.returncode, errors) == (0, b"")


def assert_interrupted(ran: subprocess.CompletedProcess[str]) -> None:
    """One answer, with the documented exit code, and nothing beside it."""
    assert (ran.returncode, ran.stderr) == (130, "")
    assert [e["code"] for e in json.loads(ran.stdout)["errors"]] == ["interrupted"]


def test_ctrl_c_twice_has_one_answer(rig: Rig) -> None:
    """The second one comes while the first is answered."""
    code = PREAMBLE + (
        "import signal, launcher.report as r\n"
        "real = r.emit\n"
        "def emit(*a, **k):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    real(*a, **k)\n"
        "r.emit = emit\n"
        "def verb(): signal.raise_signal(signal.SIGINT)\n"
        "def inner(): return run(verb, ['status', '--json'], command='status')\n"
        "sys.exit(run(inner, ['status', '--json'], is_process=True))\n"
    )
    ran = cli.run_code(code, rig.home)
    assert_interrupted(ran)


@pytest.mark.parametrize("moment", ["launcher.cli.quick", "launcher.cli.main", "click"])
def test_ctrl_c_while_modules_are_imported(rig: Rig, moment: str) -> None:
    code = (
        "import sys, signal\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {moment!r}: signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['ernie-deploy', 'ps', '--help', '--json']\n"
        "from launcher.entry import main; main()\n"
    )
    ran = cli.run_code(code, rig.home)
    assert_interrupted(ran)
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def test_no_other_module_of_the_command_line_has_a_ladder() -> None:
    """Who catches all exceptions there decides about an exit code."""
    catchers = set()
    for module, path in modules():
        if module.split(".")[1:2] not in (["cli"], ["entry"]):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                if any(w in caught for w in ("everything", "Exception", "KeyboardInterrupt",
                                             "BrokenPipe")):  # fmt: skip
                    catchers.add(module)
    # `entry` hands what came before the boundary was imported to the boundary.
    assert catchers == {"launcher.cli.boundary", "launcher.entry"}
