"""What ends minutes into a load is refused by `validate`, for every engine, at its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher import engines, profile
from launcher.errors import Problem
from tests.engines import making
from tests.engines.making import Parsers
from tests.support.decoded import JsonDict

ENGINES = {"fastdeploy": "2.3", "vllm": "0.32.0", "transformers": "5.24.0"}


def problems(engine: str, model: str, version: str | None = None, **values: Any) -> list[Problem]:
    profile = making.profile(engine, model=model, **values)
    return making.problems(profile, version or ENGINES[engine])


def folder(parent: Path, name: str, config: JsonDict | None = None) -> str:
    path = parent / name
    path.mkdir()
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
@pytest.mark.parametrize(
    "model",
    ["baidu/ERNIE-4.5-21B-A3B-Paddle", "PaddlePaddle/ERNIE-4.5-0.3B-paddle",
     "/weights/ERNIE-4.5-VL-28B-A3B-Paddle/", "someone/other-Paddle"],
)  # fmt: skip
def test_paddle_s_weights_are_refused_by_torch_engines(engine: str, model: str) -> None:
    (problem,) = problems(engine, model)
    assert (problem.code, problem.where) == ("model-not-supported", "p.yaml:2:3")
    assert "weights in Paddle's layout" in problem.message
    assert problem.remedy is not None
    assert "-PT, or `engine: fastdeploy`" in problem.remedy


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_a_folder_is_judged_by_its_configuration(engine: str, tmp_path: Path) -> None:
    paddle = folder(tmp_path, "a", {"dtype": "bfloat16", "architectures": ["Ernie4_5_ForCausalLM"]})
    (problem,) = problems(engine, paddle)
    assert (problem.code, problem.remedy) == (
        "model-not-supported", "use the -PT repository, or `engine: fastdeploy`"
    )  # fmt: skip
    for name, config in {
        "torch": {"torch_dtype": "bfloat16"},
        "both": {"torch_dtype": "bfloat16", "dtype": "bfloat16"},
        "newer": {"dtype": "bfloat16", "transformers_version": "5.24.0"},
        "neither": {},
    }.items():
        assert problems(engine, folder(tmp_path, name, config)) == [], name


@pytest.mark.parametrize("model", ["baidu/ERNIE-4.5-0.3B-PT", "baidu/ERNIE-4.5-21B-A3B-Thinking"])
@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_weights_in_hugging_face_s_layout_are_not(engine: str, model: str) -> None:
    assert problems(engine, model) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "model", ["unsloth/ERNIE-4.5-21B-A3B-PT-GGUF", "lmstudio-community/ernie-4.5-gguf",
              "unsloth/ERNIE-4.5-0.3B-PT:ERNIE-Q4_K_M.gguf"],
)  # fmt: skip
def test_a_gguf_repository_is_refused_by_every_engine(engine: str, model: str) -> None:
    (problem,) = problems(engine, model)
    assert (problem.code, problem.where) == ("model-not-supported", "p.yaml:2:3")
    assert "GGUF" in problem.message
    assert problem.remedy is not None
    assert "llama.cpp" in problem.remedy


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_of_gguf_files_is_refused_and_one_that_has_other_weights_is_not(
    engine: str, tmp_path: Path
) -> None:
    path = folder(tmp_path, "mine", {"torch_dtype": "bfloat16"})
    assert problems(engine, path) == []
    (tmp_path / "mine" / "ernie-Q4_K_M.GGUF").touch()
    assert [p.code for p in problems(engine, path)] == ["model-not-supported"]
    (tmp_path / "mine" / "model.safetensors").touch()
    assert problems(engine, path) == []
    assert problems(engine, "someone/ggufish-model") == []


VISION = (
    "baidu/ERNIE-4.5-VL-28B-A3B-Paddle", "baidu/ERNIE-4.5-VL-424B-A47B-Paddle",
)  # fmt: skip


@pytest.mark.parametrize("model", VISION)
def test_a_vision_model_needs_its_switch_in_2_0_only(model: str) -> None:
    (problem,) = problems("fastdeploy", model, "2.0")
    assert (problem.code, problem.where) == ("impossible-combination", "p.yaml:2:3")
    assert problem.remedy is not None
    assert problem.remedy.startswith("set `engine-args: {enable-mm: true}`")
    for spelling in ("enable-mm", "enable_mm", "--enable-mm"):
        assert problems("fastdeploy", model, "2.0", engine_args={spelling: True}) == []
    (problem,) = problems("fastdeploy", model, "2.0", engine_args={"enable-mm": False})
    assert problem.where == "p.yaml:4:3"
    for line in ("2.1", "2.2", "2.3", "2.4"):
        assert problems("fastdeploy", model, line) == []
    assert problems("fastdeploy", "baidu/ERNIE-4.5-0.3B-Paddle", "2.0") == []


@pytest.mark.parametrize(
    ("model", "ranks", "version", "values", "expected"),
    [
        ("baidu/ERNIE-4.5-0.3B-Paddle", 2, "2.0", {}, None),
        # 2.0 gives no rank a copy of a KV head.
        ("baidu/ERNIE-4.5-0.3B-Paddle", 4, "2.0", {}, "16 attention heads and 2 KV heads"),
        # 2.1 hangs where the cache manager is started.
        ("baidu/ERNIE-4.5-0.3B-Paddle", 4, "2.1", {}, None),
        ("baidu/ERNIE-4.5-0.3B-Paddle", 4, "2.1",
         {"engine_args": {"enable-prefix-caching": True}}, "waits for it without end"),
        ("baidu/ERNIE-4.5-0.3B-Paddle", 2, "2.1",
         {"engine_args": {"enable-prefix-caching": True}}, None),
        ("baidu/ERNIE-4.5-0.3B-Paddle", 4, "2.2",
         {"engine_args": {"enable-prefix-caching": True}}, None),
        ("baidu/ERNIE-4.5-0.3B-Paddle", 3, "2.3", {}, "which cannot be shared by 3 GPUs"),
        ("baidu/ERNIE-4.5-21B-A3B-Paddle", 5, "2.3", {}, "20 attention heads and 4 KV heads"),
        ("baidu/ERNIE-4.5-21B-A3B-Paddle", 4, "2.3", {}, None),
        ("baidu/ERNIE-4.5-300B-A47B-Paddle", 16, "2.3", {}, None),
    ],
)  # fmt: skip
def test_gpus_that_cannot_share_the_heads(
    model: str, ranks: int, version: str, values: JsonDict, expected: str | None
) -> None:
    got = problems("fastdeploy", model, version, tensor_parallel_size=ranks, **values)
    if expected is None:
        assert got == []
        return
    (problem,) = got
    assert expected in problem.message
    assert (problem.code, problem.where) == ("impossible-combination", "p.yaml:3:3")
    assert problem.remedy is not None
    assert "set tensor-parallel-size to" in problem.remedy


def test_heads_of_a_folder_and_of_vllm(tmp_path: Path) -> None:
    text = {"num_attention_heads": 6, "num_key_value_heads": 3, "torch_dtype": "bfloat16"}
    plain = folder(tmp_path, "plain", text)
    nested = folder(tmp_path, "nested", {"text_config": text, "torch_dtype": "bfloat16"})
    for model in (plain, nested):
        for engine in ("fastdeploy", "vllm"):
            (problem,) = problems(engine, model, tensor_parallel_size=4)
            assert "6 attention heads and 3 KV heads" in problem.message
            assert problems(engine, model, tensor_parallel_size=3) == []
    broken = folder(tmp_path, "broken")
    (tmp_path / "broken" / "config.json").write_text("[" * 100_000)
    assert problems("vllm", broken, tensor_parallel_size=4) == []
    (problem,) = problems("vllm", "baidu/ERNIE-4.5-21B-A3B-PT", engine_args={
        "tensor_parallel_size": 8})  # fmt: skip
    assert problem.where == "p.yaml:3:3"


@pytest.mark.parametrize(
    ("version", "name", "auto_map", "args", "refused"),
    [
        # Measured with transformers 4.54.0 and 5.24.0: the import of a model's own code.
        ("4.54.0", "ERNIE-4.5-VL", True, {"trust-remote-code": True}, True),
        ("4.57.1", "ERNIE-4.5-VL", True, {"trust_remote_code": True}, True),
        ("5.24.0", "ERNIE-4.5-VL", True, {"trust-remote-code": True}, False),
        ("4.54.0", "ERNIE-45-VL", True, {"trust-remote-code": True}, False),
        ("4.54.0", "ERNIE-4.5-VL", False, {"trust-remote-code": True}, False),
        ("4.54.0", "ERNIE-4.5-VL", True, {}, False),
    ],
)
def test_a_dot_in_the_name_of_a_folder_with_code(
    version: str, name: str, auto_map: bool, args: JsonDict, refused: bool, tmp_path: Path
) -> None:
    config = {"torch_dtype": "bfloat16"} | ({"auto_map": {"AutoConfig": "c.C"}} if auto_map else {})
    got = problems("transformers", folder(tmp_path, name, config), version, engine_args=args)
    assert [(p.code, p.where) for p in got] == [("bad-model-path", "p.yaml:2:3")] * refused
    if refused:
        assert "ln -s" in str(got[0].remedy)
        assert str(got[0].remedy).count("ERNIE-4_5-VL") == 1


def test_an_unknown_parser_of_the_installed_vllm() -> None:
    (problem,) = problems("vllm", "baidu/ERNIE-4.5-0.3B-PT", parsers=Parsers("ernie-45-vl"))
    assert (problem.code, problem.where) == ("unknown-parser", "p.yaml:4:3")


def test_the_default_context_of_a_long_model_is_a_warning() -> None:
    engine = engines.get("fastdeploy")
    profile = making.profile(model="baidu/ERNIE-4.5-21B-A3B-Paddle")
    for line in engine.lines:
        (note,) = engine.notes(profile, engine.release(line))
        assert note.startswith("p.yaml:2:3: warning: `max-model-len` is not set: ")
        assert "2048 tokens" in note
        assert "131072" in note
    for quiet in (
        making.profile(model="baidu/ERNIE-4.5-21B-A3B-Paddle", max_model_len=2048),
        making.profile(model="someone/unknown"),
    ):
        assert engine.notes(quiet, engine.release("2.3")) == ()


def test_the_place_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: a\nengine: vllm\nmodel:   baidu/ERNIE-4.5-0.3B-Paddle\n")
    loaded = profile.load(path, environ={})
    (problem,) = engines.get("vllm").validate(loaded, None)
    assert problem.where == f"{path}:3:1"
