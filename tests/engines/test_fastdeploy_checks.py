"""What FastDeploy rejects late, or not at all, is found before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from launcher.engines.fastdeploy.release_data import LINES, load
from launcher.engines.fastdeploy.shell import SPECIAL, unsafe
from launcher.profile.model import SecretRef, Stop
from tests.engines import making
from tests.engines.making import Parsers
from tests.support.decoded import JsonDict


def codes(version: str, **values: Any) -> list[tuple[str, str | None]]:
    return [(p.code, p.where) for p in making.problems(making.profile(**values), version)]


def message(version: str, **values: Any) -> str:
    (one,) = making.problems(making.profile(**values), version)
    return one.message


COMBINATIONS: list[tuple[str, dict[str, object], str]] = [
    ("2.4", {"max_num_seqs": 300}, "max-num-seqs is 300; FastDeploy takes 1 to 256"),
    ("2.4", {"max_num_seqs": 0}, "max-num-seqs is 0; FastDeploy takes at least 1"),
    ("2.4", {"max_model_len": 8, "engine_args": {"max-num-batched-tokens": 64}},
     "max-model-len is 8; FastDeploy takes at least 16"),
    ("2.4", {"engine_args": {"gpu-memory-utilization": 1.5}},
     "gpu-memory-utilization is 1.5; it is a fraction above 0 and below 1"),
    ("2.4", {"engine_args": {"max-num-batched-tokens": 16}},
     "max-num-batched-tokens is 16, less than block-size 64"),
    ("2.3", {"max_num_seqs": 128, "engine_args": {"max-num-batched-tokens": 100}},
     "max-num-batched-tokens is 100, less than max-num-seqs 128"),
    ("2.3", {"max_model_len": 1024, "max_num_seqs": 4},
     "max-num-batched-tokens is 8192 (the default of 2.3), more than max-model-len x "
     "max-num-seqs = 4096"),
    ("2.1", {"max_model_len": 4096, "engine_args": {"max-num-batched-tokens": 2048}},
     "max-num-batched-tokens is 2048, less than max-model-len 4096, and chunked prefill is off"),
    ("2.4", {"tensor_parallel_size": 2, "gpus": ("0", "1", "2")},
     "`gpus` names 3, but tensor-parallel-size 2 needs exactly 2 here"),
    ("2.4", {"gpus": ("GPU-8f4a",)}, "FastDeploy takes GPUs by number only, not GPU-8f4a"),
    ("2.4", {"engine_args": {"max-num-partial-prefills": 2, "max-long-partial-prefills": 3}},
     "max-long-partial-prefills 3 is more than max-num-partial-prefills 2"),
    ("2.4", {"engine_args": {"splitwise-role": "decode"}},
     "splitwise-role decode with the local scheduler needs a router in 2.4"),
    ("2.2", {"engine_args": {"enable-logprob": True, "enable-expert-parallel": True}},
     "enable-logprob and enable-expert-parallel exclude each other in 2.2"),
    ("2.2", {"tensor_parallel_size": 2, "engine_args": {"enable-expert-parallel": True}},
     "2.2 cannot run tensor and expert parallel at once"),
    ("2.4", {"engine_args": {"speculative-config": {"method": "eagle"}}},
     "speculative-config: method 'eagle' is not one of ngram_match, mtp"),
    ("2.4", {"engine_args": {"speculative-config": {"method": "mtp"},
                             "guided-decoding-backend": "xgrammar"}},
     "guided decoding and speculative decoding exclude each other"),
    ("2.5", {"engine_args": {"kvcache-storage-backend": "mooncake",
                             "enable-prefix-caching": False}},
     "kvcache-storage-backend needs prefix caching and the V1 scheduler"),
    ("2.2", {"engine_args": {"enable-chunked-prefill": False}},
     "chunked prefill is always on in 2.2, no flag turns it off"),
    ("2.4", {"engine_args": {"enable-chunked-prefill": False}},
     "FastDeploy 2.4 turns chunked prefill on by itself, no flag turns it off"),
    ("2.4", {"env": {"ENABLE_V1_KVCACHE_SCHEDULR": "0"}},
     "no FastDeploy release reads ENABLE_V1_KVCACHE_SCHEDULR"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "values", "expected"), COMBINATIONS)
def test_combinations_that_the_release_refuses_after_the_download(
    version: str, values: dict[str, object], expected: str
) -> None:
    assert message(version, **values) == expected


def test_chunked_prefill_is_off_where_it_can_be_turned_off() -> None:
    off = {"enable-chunked-prefill": False}
    assert not codes("2.1", engine_args={**off, "max-num-batched-tokens": 2048})
    assert not codes("2.4", engine_args=off, env={"FD_DISABLE_CHUNKED_PREFILL": "1"})


@pytest.mark.parametrize("version", LINES)
def test_the_same_sizes_at_their_limits_are_taken(version: str) -> None:
    values = {"max_num_seqs": 256, "max_model_len": 1024,
              "engine_args": {"max-num-batched-tokens": 256 * 1024}}  # fmt: skip
    assert codes(version, **values) == []


SINCE: list[tuple[dict[str, object], str, str, str]] = [
    ({"served_model_name": "x"}, "2.1", "2.2", "served-model-name"),
    ({"api_key": SecretRef("env", "K")}, "2.2", "2.3", "api-key"),
    ({"stop": Stop(drain=5)}, "2.2", "2.3", "stop.drain"),
    ({"revision": "v1"}, "2.0", "2.1", "revision"),
    ({"parsers": Parsers(None, "ernie-x1")}, "2.0", "2.1", "parsers.tool-call"),
]


@pytest.mark.parametrize(("values", "without", "first", "key"), SINCE)
def test_a_neutral_key_names_the_release_that_has_it(
    values: JsonDict, without: str, first: str, key: str
) -> None:
    (problem,) = making.problems(making.profile(**values), without)
    assert problem.code == "key-not-supported"
    assert f"`{key}`, it exists from {first}" in problem.message
    assert problem.where is not None
    assert problem.where.startswith("p.yaml:")
    assert codes(first, **values) == []


@pytest.mark.parametrize("character", sorted(SPECIAL))
def test_a_model_path_that_a_shell_would_change_is_refused(character: str) -> None:
    (problem,) = making.problems(making.profile(model=f"/models/ernie{character}x"), "2.4")
    assert (problem.code, problem.where) == ("unsafe-for-shell", "p.yaml:2:3")


@pytest.mark.parametrize("path", ["/models/ERNIE-4.5_x,y@z:1+2=3%4^5", "/models/文心一言"])
def test_other_paths_are_left_alone(path: str) -> None:
    assert codes("2.4", model=path) == []


def test_what_is_unsafe_really_changes_in_a_shell() -> None:
    """The judge is a real shell: what we call safe arrives as it is, unquoted."""
    import subprocess

    for code in range(33, 127):
        text = f"a{chr(code)}b"
        if unsafe(text) is None:
            output = subprocess.run(
                ["/bin/sh", "-c", f"printf %s {text}"], capture_output=True, text=True, check=False
            )
            assert output.stdout == text, text


@pytest.mark.parametrize("line", LINES)
def test_every_option_that_is_pasted_unquoted_is_checked(line: str) -> None:
    facts: Any = load("late.json")["shell"]
    for option in facts["unquoted"][line]:
        if option in ("model", "logprobs-mode", "write-policy", "kvcache-storage-backend"):
            continue  # the model has its own test, the others take listed words only
        mappings: dict[str, object] = {
            "speculative-config": {"method": "mtp", "model": "/m; rm -rf x"},
            "override-pooler-config": {"pooling_type": "LAST"},
        }
        value = mappings.get(option, "a;b")
        problems = codes(line, engine_args={option: value})
        assert problems, option
        assert all(where == "p.yaml:4:3" for _, where in problems), problems


@pytest.mark.parametrize("line", LINES[1:])
def test_a_single_quote_in_json_ends_the_quotes_it_is_pasted_between(line: str) -> None:
    facts: Any = load("late.json")["shell"]
    for option in facts["single_quoted"][line]:
        problems = codes(line, engine_args={option: {"quantization": "wint8", "note": "it's"}})
        assert ("unsafe-for-shell", "p.yaml:4:3") in problems, option


def test_variables_that_are_pasted_are_checked_too() -> None:
    assert codes("2.4", env={"SOT_LOG_LEVEL": "0; id"}) == [("unsafe-for-shell", "p.yaml:4:3")]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("FD_LOG_DIR", "/x", "reserved-variable"),
        ("CUDA_VISIBLE_DEVICES", "0", "reserved-variable"),
        ("FD_LOGDIR", "/x", "unknown-variable"),
        ("FD_WORKER_ALIVE_TIMEOUT", "60", "unknown-variable"),  # 2.4 only
        ("HF_TOKEN", "hf_0123456789", "secret-in-clear"),
        ("not a name", "1", "bad-variable"),
    ],
)
def test_variables_that_would_be_ignored_or_exposed_are_refused(
    name: str, value: str, code: str
) -> None:
    assert codes("2.3", env={name: value}) == [(code, "p.yaml:4:3")]


def test_a_password_on_the_command_line_is_refused() -> None:
    assert codes("2.4", engine_args={"scheduler-password": "x"}) == [
        ("reserved-flag", "p.yaml:4:3")
    ]


MODELS: list[tuple[str, dict[str, object], str, str]] = [
    ("baidu/ERNIE-4.5-0.3B-PT", {}, "2.1", "weights in Hugging Face's layout"),
    ("baidu/ERNIE-4.5-0.3B-PT", {}, "2.2", "load-choices default_v1 only, not default"),
    ("baidu/ERNIE-4.5-VL-28B-A3B-PT", {"engine_args": {"load-choices": "default_v1"}}, "2.2",
     "which FastDeploy loads from 2.3 on"),
    ("baidu/ERNIE-4.5-VL-28B-A3B-Thinking", {}, "2.2", "needs FastDeploy 2.3 or later, not 2.2"),
    ("baidu/ERNIE-4.5-0.3B-Paddle", {"parsers": Parsers("ernie-x1")}, "2.4", "does not think"),
    ("/weights/ERNIE-4.5-0.3B-Paddle", {"parsers": Parsers("ernie-x1")}, "2.4", "does not think"),
    ("baidu/ERNIE-4.5-21B-A3B-Thinking", {"parsers": Parsers(None, "ernie-x1")}, "2.4",
     "always thinks"),
    ("baidu/ERNIE-4.5-21B-A3B-Thinking", {"parsers": Parsers("qwen3")}, "2.4",
     "needs the reasoning-parser 'ernie-x1', not 'qwen3'"),
    ("baidu/ERNIE-4.5-21B-A3B-Paddle", {"tensor_parallel_size": 8}, "2.4",
     "20 attention heads and 4 KV heads, which cannot be shared by 8"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "values", "version", "expected"), MODELS)
def test_models_that_the_release_or_the_parsers_do_not_fit(
    model: str, values: dict[str, object], version: str, expected: str
) -> None:
    assert expected in message(version, model=model, **values)


def test_an_unknown_parser_names_the_nearest_and_the_releases_that_have_it() -> None:
    assert "did you mean 'ernie-x1'?" in message("2.4", parsers=Parsers("ernie-x2"))
    text = message("2.2", parsers=Parsers("ernie-45-vl-thinking"))
    assert text.endswith("it is in 2.3, 2.4, 2.5, 2.6")


def test_keys_that_steer_a_download_are_refused_for_a_local_model(tmp_path: Path) -> None:
    values = {"model": str(tmp_path), "revision": "x", "cache_dir": "/c"}
    assert codes("2.4", **values) == [("impossible-combination", "p.yaml:3:3"),
                                      ("impossible-combination", "p.yaml:4:3")]  # fmt: skip


def test_a_port_that_fastdeploy_does_not_have() -> None:
    assert codes("2.4", ports={"grpc": 1}) == [("port-not-supported", "p.yaml:4:3")]
    assert codes("2.4", ports={"api": 9000, "metrics": 9000}) == [("duplicate-port", "p.yaml:5:3")]


def test_without_a_release_every_admitted_one_is_judged() -> None:
    profile = making.profile(engine_version=">=2.2,<2.5", engine_args={"router": "h:1"})
    (problem,) = making.problems(profile, None)
    assert problem.message == "FastDeploy 2.2 has no flag --router: it exists from 2.3"
    (problem,) = making.problems(making.profile(engine_args={"no-such-flag": 1}), None)
    assert problem.message.startswith("FastDeploy 2.0 to 2.6 has no flag --no-such-flag")
    (problem,) = making.problems(making.profile(max_num_seqs=0), None)
    assert problem.message == "max-num-seqs is 0; FastDeploy takes at least 1"
    (problem,) = making.problems(making.profile(engine_version="<2"), None)
    assert problem.code == "unknown-release"
    # What only a newer release has can be judged with its package alone.
    newer = making.profile(engine_version=">=3", engine_args={"of-release-3": 1})
    assert making.problems(newer, None) == []


def test_a_patch_constraint_admits_its_line() -> None:
    profile = making.profile(engine_version="==2.3.2", engine_args={"router": "h:1"})
    assert making.problems(profile, None) == []
