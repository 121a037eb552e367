"""`pytest --ernie-target`: users' tests and ours in one run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.smoke.defects import DEFECTS
from tests.smoke.servers import serve
from tests.support import ROOT

TESTS = """
def test_knows_paris(ernie_chat):
    assert "Paris" in ernie_chat("What is the capital of France?").choice.text

def test_the_official_client(ernie_openai, ernie_target):
    made = ernie_openai.chat.completions.create(
        model=ernie_target.model, messages=[{"role": "user", "content": "Hello!"}])
    assert made.choices[0].message.content
"""


def pytest_run(folder: Path, *arguments: str, tests: str = TESTS) -> str:
    (folder / "test_mine.py").write_text(tests)
    plugin = [] if _installed() else ["-p", "launcher.pytest_plugin"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        *plugin,
        *arguments,
        str(folder),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    return done.stdout + done.stderr


def _installed() -> bool:
    from importlib import metadata

    return any(p.value == "launcher.pytest_plugin" for p in metadata.entry_points(group="pytest11"))


def test_fixtures_and_our_checks_as_items(tmp_path: Path) -> None:
    with serve(DEFECTS["usage-missing"]) as server:
        output = pytest_run(tmp_path, "--ernie-target", server.url, "--ernie-smoke", "quick")
    assert "PASSED test_mine.py::test_knows_paris" in output
    assert "PASSED test_mine.py::test_the_official_client" in output
    assert "PASSED ernie-deploy::smoke::stream-order" in output or "smoke::stream-order" in output
    assert "fail: expected usage in the answer, got none" in output


def test_what_a_session_notes_ends_a_test_as_it_ends_a_check(tmp_path: Path) -> None:
    tests = """
        from launcher.smoke.outcome import could_not_check

        def test_notes(ernie_session):
            ernie_session.expect(False, "code", "a better world", "this one")

        def test_requires(ernie_session):
            ernie_session.require(False, "code", "an answer", "silence")

        def test_cannot(ernie_session):
            raise could_not_check("not here")

        def test_names_the_model(ernie_target):
            assert ernie_target.model == "other"
        """
    with serve() as server:
        arguments = ("--ernie-target", server.url, "--ernie-model", "other")
        output = pytest_run(tmp_path, *arguments, tests=textwrap.dedent(tests))
    assert "2 failed, 1 passed, 1 skipped" in output
    assert "fail: expected a better world, got this one" in output
    assert "fail: expected an answer, got silence" in output
    assert "could not check: not here" in output
    assert "Traceback" not in output


def test_without_a_target_the_fixtures_skip(tmp_path: Path) -> None:
    output = pytest_run(tmp_path)
    assert "2 skipped" in output
    assert "needs --ernie-target" in output


def test_a_server_that_is_not_there_is_never_green(tmp_path: Path, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    output = pytest_run(
        tmp_path, "--ernie-target", url, "--ernie-smoke", "quick", tests="def test_it(): pass"
    )
    assert f"cannot connect to {url}: connection refused" in output
    assert "FAILED ::smoke::chat" in output
