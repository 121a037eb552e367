"""vLLM's flags are asked of the installed vLLM, once per version; other engines of nothing."""

import json
import sys
from pathlib import Path

import pytest

from launcher import engines, paths
from launcher.engines.base import Installed, Release
from launcher.engines.vllm import flags
from launcher.environments.question import ask

ANSWER = {"format": 1, "version": "0.50.0+local", "options": [], "parsers": {}}


ENGINE = engines.get("vllm")


def python(folder: Path, output: str, rc: int = 0) -> str:
    """An interpreter that counts how often it is asked and gives a fixed answer."""
    path = folder / "python"
    path.write_text(
        f"#!{sys.executable}\nimport sys, os\n"
        f"open({str(folder / 'asked')!r}, 'a').write('x')\n"
        f"assert 'SECRET' not in os.environ\n"
        f"print('INFO vllm says hello')\nprint({output!r})\nsys.exit({rc})\n"
    )
    path.chmod(0o700)
    return str(path)


def installed(path: str) -> Installed:
    return Installed(path, "3.11.7", Release("0.50.0", "0.50"))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SECRET", "hunter2")


def test_the_answer_is_asked_for_once_and_kept_by_the_distribution_s_version(
    tmp_path: Path,
) -> None:
    installation = installed(python(tmp_path, flags.MARK + json.dumps(ANSWER)))
    assert ask(ENGINE, installation)
    assert ask(ENGINE, installation)
    assert (tmp_path / "asked").read_text() == "x"
    assert flags.cached_answer("0.50.0", paths.cache()) == {**ANSWER, "version": "0.50.0"}


@pytest.mark.parametrize("output", ["", flags.MARK + "{", "Traceback"])
def test_no_answer_is_no_error_and_nothing_is_kept(tmp_path: Path, output: str) -> None:
    assert not ask(ENGINE, installed(python(tmp_path, output, rc=1)))
    assert flags.cached_answer("0.50.0", paths.cache()) is None


def test_a_missing_interpreter_and_a_missing_release(tmp_path: Path) -> None:
    assert not ask(ENGINE, installed(str(tmp_path / "none")))
    assert not ask(ENGINE, Installed("/p", "3.11.7", None))


def test_an_engine_without_a_question_is_not_started(tmp_path: Path) -> None:
    assert ask(engines.get("transformers"), installed(python(tmp_path, "")))
    assert not (tmp_path / "asked").exists()
