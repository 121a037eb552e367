"""An engine of a third party can have a memory plan, and one without says so."""

from pathlib import Path

import pytest

from launcher import profile
from launcher.codec import encode_object
from launcher.errors import PreconditionError
from launcher.preparation.memory import memory_plan
from tests.support.decoded import JsonDict

ENGINE = """
from launcher.engines.fastdeploy.engine import FastDeploy

class Mine(FastDeploy):
    name = "mine"
    title = "Mine"

class Bare(Mine):
    name = "bare"
    memory = None
"""


@pytest.fixture
def _registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with the two engines, as pip would leave it."""
    info = tmp_path / "others_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ernie_deploy.engines]\nmine = others_engine:MINE\nbare = others_engine:BARE\n"
    )
    (tmp_path / "others_engine.py").write_text(ENGINE + "\nMINE, BARE = Mine(), Bare()\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def plan(tmp_path: Path, engine: str) -> JsonDict:
    path = tmp_path / "p.yaml"
    model = "baidu/ERNIE-4.5-21B-A3B-Thinking"
    path.write_text(f'name: p\nengine: {engine}\nengine-version: ">=2.3"\nmodel: {model}\n')
    loaded = profile.load(path, environ={})
    return encode_object(memory_plan(loaded, version=None, gpu="h800-80g", largest=False).payload)


@pytest.mark.usefixtures("_registered")
def test_the_plan_is_made_with_the_engines_own_facts(tmp_path: Path) -> None:
    assert plan(tmp_path, "mine")["prediction"]["fits"]


@pytest.mark.usefixtures("_registered")
def test_an_engine_without_figures_says_so(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="engine bare has no memory plan"):
        plan(tmp_path, "bare")
