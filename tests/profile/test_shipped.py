"""The profiles that ship say what they promise."""

from typing import Any

import pytest

from launcher import engines, profile
from launcher.preparation.recommendation import find_machine, recommend
from tests.support import ROOT

FASTDEPLOY = ("ernie-4.5-21b-a3b-thinking", "ernie-4.5-21b-a3b", "ernie-4.5-0.3b")
LARGE_OR_VISION = (
    "ernie-4.5-300b-a47b", "ernie-4.5-vl-28b-a3b", "ernie-4.5-vl-28b-a3b-thinking",
    "ernie-4.5-vl-424b-a47b",
)  # fmt: skip
"""On FastDeploy only."""
NAMES = sorted(p.stem for p in (ROOT / "profiles").glob("*.yaml"))


def load(name: str) -> Any:
    return profile.load(ROOT / "profiles" / f"{name}.yaml", environ={})


def test_which_there_are() -> None:
    variants = [
        f"{name}{engine}" for name in FASTDEPLOY for engine in ("", "-vllm", "-transformers")
    ]
    services = ["ernie-4.5-21b-a3b-thinking-service", "ernie-tiny-service"]
    tiny = ["ernie-tiny-cpu", "ernie-tiny-cpu-vllm"]
    assert sorted([*variants, *LARGE_OR_VISION, *tiny, *services]) == NAMES


@pytest.mark.parametrize("name", LARGE_OR_VISION)
def test_large_and_vision_models_have_the_documented_settings(name: str) -> None:
    """The same keys as `profiles init` writes on a machine where everything fits."""
    got = load(name)
    written = recommend(got.model, "fastdeploy", find_machine("h20-141g", None))
    assert written.name == name
    for setting in written.settings:
        parent, _, key = setting.key.rpartition(".")
        values = got.resolved[parent] if parent else got.resolved
        assert values[key] == setting.value, setting.key
    assert engines.get("fastdeploy").validate(got, None) == []


def test_the_model_card_s_command() -> None:
    got = load("ernie-4.5-21b-a3b-thinking")
    assert got.engine == "fastdeploy"
    assert got.model == "baidu/ERNIE-4.5-21B-A3B-Thinking"
    assert got.ports == {"api": 8180, "metrics": 8181, "engine-worker-queue": 8182}
    assert got.engine_args == {"load-choices": "default_v1"}
    assert (got.tensor_parallel_size, got.max_model_len, got.max_num_seqs) == (1, 131072, 32)
    parsers = [got.setting(f"parsers.{kind}") for kind in ("reasoning", "tool-call")]
    assert {str(parser).replace("_", "-") for parser in parsers} == {"ernie-x1"}
    assert got.engine_version == ">=2.2"
    assert got.quantization is None


@pytest.mark.parametrize("name", ["ernie-4.5-21b-a3b", "ernie-4.5-0.3b"])
def test_fastdeploy_s_recommended_settings(name: str) -> None:
    got = load(name)
    assert (got.tensor_parallel_size, got.quantization) == (1, "wint4")
    assert (got.max_model_len, got.max_num_seqs) == (32768, 128)
    assert got.model.endswith("-Paddle")
    assert "parsers" not in got.resolved


@pytest.mark.parametrize("name", [n for n in NAMES if "-vllm" in n])
def test_vllm_variants_have_nothing_of_fastdeploy_s(name: str) -> None:
    got = load(name)
    assert got.engine == "vllm"
    tiny = name == "ernie-tiny-cpu-vllm"
    # Its grammar may not pad with spaces, which only releases after 0.11.0 can be told.
    assert got.engine_version == (">=0.11.1" if tiny else ">=0.10.2,!=0.11.0")
    assert set(got.ports) == {"api"}
    assert got.quantization is None
    assert set(got.engine_args) == ({"structured-outputs-config"} if tiny else set())
    assert "Paddle" not in got.model


@pytest.mark.parametrize(
    "name", [n for n in NAMES if "-transformers" in n or n == "ernie-tiny-cpu"]
)
def test_transformers_variants_have_only_what_it_has(name: str) -> None:
    got = load(name)
    assert got.engine == "transformers"
    assert got.engine_version == ">=4.54"
    assert set(got.ports) == {"api"}
    assert not any(
        getattr(got, key)
        for key in ("served_model_name", "max_model_len", "max_num_seqs", "tensor_parallel_size",
                    "quantization", "api_key")
    )  # fmt: skip
    assert "parsers" not in got.resolved


@pytest.mark.parametrize("name", ["ernie-tiny-cpu", "ernie-tiny-cpu-vllm"])
def test_the_tiny_ones_find_their_model(name: str) -> None:
    assert load(name).model == str(ROOT / "profiles" / "tiny-ernie")
