"""What an interpreter has: the right wheel, the wrong project, an unknown release."""

import pytest

from launcher.engines import get
from launcher.errors import PreconditionError

FASTDEPLOY = get("fastdeploy")


def test_the_unrelated_project_of_the_same_name_is_refused_by_name() -> None:
    for more in ({}, {"fastdeploy-gpu": "2.3.2", "paddlepaddle-gpu": "3.2.1"}):
        installed = FASTDEPLOY.installed("/p", "3.11.7", {"fastdeploy": "2.3.0", **more})
        assert installed.release is None
        assert installed.problem is not None
        assert installed.problem.code == "wrong-package"
        assert "notAI-tech/fastDeploy" in installed.problem.message


def test_the_wheel_s_version_decides_the_release() -> None:
    installed = FASTDEPLOY.installed(
        "/p", "3.11.7", {"fastdeploy-gpu": "2.3.2", "paddlepaddle-gpu": "3.2.1"}
    )
    assert installed.problem is None
    assert installed.release is not None
    assert (installed.release.version, installed.release.line) == ("2.3.2", "2.3")


def test_a_wheel_without_paddle_and_no_wheel_at_all() -> None:
    installed = FASTDEPLOY.installed("/p", "3.11.7", {"fastdeploy-gpu": "2.3.2"})
    assert installed.problem is not None
    assert installed.problem.code == "incomplete-engine"
    nothing = FASTDEPLOY.installed("/p", "3.11.7", {})
    assert (nothing.release, nothing.problem) == (None, None)


@pytest.mark.parametrize("version", ["1.0.7", "1", "new"])
def test_an_unknown_release_is_refused_with_the_known_ones(version: str) -> None:
    with pytest.raises(PreconditionError) as caught:
        FASTDEPLOY.release(version)
    assert caught.value.problems[0].code == "unknown-release"


@pytest.mark.parametrize(("version", "line"), [("2.7.0", "2.7"), ("3", "3.0"), ("2.10.1", "2.10")])
def test_a_newer_release_than_the_catalogue_is_admitted(version: str, line: str) -> None:
    assert FASTDEPLOY.release(version).line == line
