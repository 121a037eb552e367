"""What the memory plan reckons with is what the release would run with."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.engines.fastdeploy import memory as fastdeploy
from launcher.engines.fastdeploy.engine import ENGINE
from launcher.errors import PreconditionError, ProfileError
from launcher.plan import memory
from launcher.plan.memory import Ask
from launcher.preparation.memory import history, memory_plan
from tests.engines import making
from tests.plan.test_memory import card
from tests.support.as_json import as_json


def ask(version: str, **values: Any) -> Ask:
    return fastdeploy.ask(making.profile(**values), ENGINE.release(version))


@pytest.mark.parametrize(
    "spelling", ["gpu-memory-utilization", "gpu_memory_utilization", "--gpu-memory-utilization"]
)
def test_a_flag_counts_however_it_is_spelled(spelling: str) -> None:
    assert ask("2.4", engine_args={spelling: 0.5}).utilization == 0.5


@pytest.mark.parametrize(
    ("version", "values", "tokens"),
    [
        ("2.4", {}, 8192),
        ("2.4", {"env": {"ENABLE_V1_KVCACHE_SCHEDULER": "0"}}, 2048),
        ("2.2", {"max_model_len": 131072}, 2048),
        ("2.1", {"max_model_len": 131072}, 131072),
        ("2.1", {"max_model_len": 131072, "engine_args": {"enable_chunked_prefill": True}}, 2048),
        ("2.1", {"engine_args": {"max_num_batched_tokens": 512}}, 512),
    ],
)
def test_batched_tokens_are_those_the_release_resolves(
    version: str, values: dict[str, object], tokens: int
) -> None:
    """A 2.1 server profiles itself with the whole context at once unless it is told otherwise."""
    assert ask(version, **values).max_num_batched_tokens == tokens


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (2, 1, 1)),
        ({"data-parallel-size": 4}, (2, 1, 4)),
        ({"data-parallel-size": 4, "enable-expert-parallel": True}, (2, 8, 4)),
        ({"data-parallel-size": 4, "enable-expert-parallel": True, "ips": "a,b"}, (2, 8, 2)),
        ({"enable-expert-parallel": True}, (2, 2, 1)),
    ],
)
def test_data_parallel_is_reckoned_by_host_and_experts_by_all(
    values: dict[str, object], expected: tuple[int, int, int]
) -> None:
    memory_ask = ask("2.6", engine_args={"tensor-parallel-size": 2, **values})
    assert (memory_ask.tensor_parallel, memory_ask.expert_parallel, memory_ask.replicas) == expected


@pytest.mark.parametrize(
    ("quantization", "method", "kv_bytes"),
    [
        (None, None, 2),
        ("wint4", "wint4", 2),
        ("kvcache", "kvcache", 1),
        ({"quantization": "wint4"}, "wint4", 2),
        ({"quantization": "wint4", "kv_cache_quant_type": "int8"}, "wint4", 1),
    ],
)
def test_the_method_is_read_out_of_json_too(
    quantization: object, method: str | None, kv_bytes: int
) -> None:
    text = json.dumps(quantization) if isinstance(quantization, dict) else quantization
    got = ask("2.4", quantization=text)
    assert (got.quantization, got.kv_bytes) == (method, kv_bytes)


def test_a_wrong_profile_is_not_reckoned_with() -> None:
    wrong = making.profile(**making.CARD | {"engine_args": {"max-num-batched-tokens": "abc"}})
    with pytest.raises(ProfileError, match="not a whole number"):
        memory_plan(wrong, version="2.4", gpu="h800-80g", largest=False)


def test_settings_of_a_checkpoint_are_not_taken_for_bf16() -> None:
    own = making.profile(**making.CARD | {"quantization": '{"is_quantized": true}'})
    with pytest.raises(PreconditionError, match="no figures for quantization"):
        memory_plan(own, version="2.4", gpu="h800-80g", largest=False)


def test_without_a_release_it_is_the_newest_that_the_profile_admits() -> None:
    """2.2 gives prompts only a share of the blocks, 2.3 and later all of them."""
    older = making.profile(**making.CARD | {"engine_version": ">=2.2,<2.3"})
    plan = memory_plan(older, version=None, gpu="h800-80g", largest=False)
    assert plan.payload.prediction.ask.prefill_share == 0.75
    newer = making.profile(**making.CARD | {"engine_version": ">=2.2,<2.5"})
    plan = memory_plan(newer, version=None, gpu="h800-80g", largest=False)
    assert plan.payload.prediction.ask.prefill_share == 1.0


@pytest.mark.parametrize(("version", "limit"), [("2.0", 256), ("2.5", 256), ("2.6", 512)])
def test_the_most_sequences_are_never_more_than_fastdeploy_takes(version: str, limit: int) -> None:
    shape = fastdeploy.shape_of_table("baidu/ERNIE-4.5-0.3B-Paddle")
    assert shape is not None
    most = memory.largest_num_seqs(
        shape, card("h800-80g"), ask(version, max_model_len=512), fastdeploy.costs()
    )
    assert most == limit


@pytest.mark.parametrize(
    ("version", "loader", "streamed"),
    [("2.4", None, True), ("2.4", "default", False), ("2.2", None, False),
     ("2.2", "default_v1", True), ("2.0", None, False)],
)  # fmt: skip
def test_the_loader_decides_how_much_host_memory_a_load_takes(
    version: str, loader: str | None, streamed: bool
) -> None:
    shape = fastdeploy.shape_of_table("baidu/ERNIE-4.5-300B-A47B-Paddle")
    assert shape is not None
    request = ask(version, engine_args={"load-choices": loader} if loader else {})
    peak = memory.predict(shape, card("h800-80g"), request, fastdeploy.costs()).host_peak
    # FastDeploy's documentation of 2.0 to 2.2: 600 GB of RAM.
    assert (peak < 100e9) if streamed else (600e9 <= peak < 650e9)


def test_lines_of_the_history_that_cannot_be_used_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path))
    card_profile = making.profile(**making.CARD)
    row = {
        "time": 1.0, "host": os.uname().nodename, "model": card_profile.model,
        "quantization": None, "card": "c", "predicted": 3, "reported": 2, "error": 0.5,
    }  # fmt: skip
    lines = ['{"time": 1', "[]", "3", json.dumps({"host": row["host"]}),
             json.dumps({**row, "reported": 0, "error": None}), json.dumps(row)]  # fmt: skip
    (tmp_path / "memory-history.jsonl").write_text("\n".join(lines))
    assert as_json(history(card_profile)) == [row]
