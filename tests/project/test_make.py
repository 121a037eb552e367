"""`make`, with a stand-in for the command: whose state it touches, and when it stops."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

STUB = """#!/bin/sh
echo "$ERNIE_DEPLOY_HOME $(basename "$0") $*" >> "{log}"
if [ "$1" = down ] && [ -e "{fail}" ]; then exit 1; fi
"""


class Checkout:
    """A folder with our Makefile and a virtual environment whose commands only take notes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.own = self.folder / ".ernie-deploy"
        self.elsewhere = folder / "production"
        self.log, self.fail = folder / "log", folder / "fail"
        self.folder.mkdir()
        for name in ("Makefile", "pyproject.toml", "setup.py"):
            shutil.copy(ROOT / name, self.folder)
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        for name in ("ernie-deploy", "python", "ruff", "mypy"):
            stub = self.folder / ".venv" / "bin" / name
            stub.write_text(STUB.format(log=self.log, fail=self.fail))
            stub.chmod(0o755)
        (self.folder / ".venv" / ".made").touch()
        for home in (self.own, self.elsewhere):
            (home / "instances").mkdir(parents=True)

    def with_cores(self, cores: int | None) -> None:
        """Make `nproc` print that number, or fail."""
        nproc = self.folder.parent / "nproc"
        nproc.write_text(f"#!/bin/sh\necho {cores}\n" if cores else "#!/bin/sh\nexit 127\n")
        nproc.chmod(0o755)

    def make(self, *arguments: str) -> int:
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        env["ERNIE_DEPLOY_HOME"] = str(self.elsewhere)
        env["PATH"] = f"{self.folder.parent}:{env['PATH']}"
        return subprocess.run(
            ["make", *arguments], cwd=self.folder, env=env, capture_output=True, check=False
        ).returncode

    def noted(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_clean_takes_down_what_runs_in_this_folder_and_nothing_else(checkout: Checkout) -> None:
    (checkout.own / "instances" / "mine").mkdir()
    (checkout.elsewhere / "instances" / "production").mkdir()
    assert checkout.make("clean") == 0
    assert checkout.noted() == [f"{checkout.own} ernie-deploy down mine"]
    assert not checkout.own.exists()
    assert not (checkout.folder / ".venv").exists()
    assert (checkout.elsewhere / "instances" / "production").is_dir()


def test_clean_takes_services_down_before_single_instances(checkout: Checkout) -> None:
    for folder in ("instances/a", "instances/shop-1", "services/shop"):
        (checkout.own / folder).mkdir(parents=True)
    assert checkout.make("clean") == 0
    names = [line.rpartition(" ")[2] for line in checkout.noted()]
    assert names == ["shop", "a", "shop-1"]


def test_clean_keeps_the_state_of_what_cannot_be_taken_down(checkout: Checkout) -> None:
    (checkout.own / "instances" / "a").mkdir()
    (checkout.own / "instances" / "b").mkdir()
    checkout.fail.touch()
    assert checkout.make("clean") != 0
    assert (checkout.own / "instances" / "a").is_dir()
    assert (checkout.folder / ".venv").is_dir()


def test_clean_without_the_command_keeps_the_state_of_instances(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / ".venv")
    assert checkout.make("clean") == 0, "no instance: nothing to take down"
    (checkout.own / "instances" / "mine").mkdir(parents=True)
    assert checkout.make("clean") != 0
    assert (checkout.own / "instances" / "mine").is_dir()


@pytest.mark.parametrize("target", ["setup", "demo", "demo-vllm", "test", "bench", "soak"])
def test_what_is_tried_here_stays_in_this_folder(checkout: Checkout, target: str) -> None:
    assert checkout.make(target) == 0
    assert checkout.noted()
    assert {line.split()[0] for line in checkout.noted()} == {str(checkout.own)}


@pytest.mark.parametrize("target", ["engine", "up", "smoke", "logs", "down"])
def test_pipelines_may_keep_their_state_elsewhere(checkout: Checkout, target: str) -> None:
    """All of them alike: `up` has to find what `engine` installed."""
    assert checkout.make(target) == 0
    assert {line.split()[0] for line in checkout.noted()} == {str(checkout.elsewhere)}


@pytest.mark.parametrize(("cores", "jobs"), [(1, 2), (2, 4), (3, 6), (4, 8), (64, 8), (None, 2)])
def test_two_test_processes_for_each_core_and_at_most_eight(
    checkout: Checkout, cores: int | None, jobs: int
) -> None:
    checkout.with_cores(cores)
    assert checkout.make("test") == 0
    assert f"-m pytest -n {jobs} " in checkout.noted()[-1]


def test_the_number_of_test_processes_can_be_given(checkout: Checkout) -> None:
    checkout.with_cores(4)
    assert checkout.make("test", "JOBS=3") == 0
    assert "-m pytest -n 3 " in checkout.noted()[-1]
