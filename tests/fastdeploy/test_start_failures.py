"""Every way in which FastDeploy was measured to fail at its start: exit code, cause, the rest.

Each case is a fault of the twin (tests/twin/README.md says where it was measured), the exit code
of `up` and a text that names the cause. Nothing may be left of any of them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.fastdeploy.conftest import MODEL, Make, judge_start

IN_THE_LOAD = [
    # fault, exit code, the cause as the operator reads it
    ("worker-dies-in-init@code=3", 4, "ended with exit code 3"),
    ("worker-dies-in-load@code=7", 4, "ended with exit code 7"),
    ("worker-dies-in-load@signal=9", 4, "killed"),
    ("worker-out-of-memory", 4, "do not fit into GPU memory"),
    ("worker-dies-in-profiling", 4, "no GPU memory is left for the KV cache"),
    ("worker-dies-in-warmup", 4, "a GPU kernel read or wrote outside its memory"),
    ("launch-fails", 4, "a GPU that CUDA_VISIBLE_DEVICES or the machine does not have"),
    ("say@id=quantization-invalid", 4, "the quantization wint5 does not exist"),
    ("say@id=blocks-below-context", 4, "max-model-len"),
    ("say@id=weight-not-found", 4, "weight"),
    ("port-taken-while-loading", 4, "between FastDeploy's check and gunicorn's bind"),
    ("front-dies@phase=import", 4, "killed by SIGKILL"),
    ("front-dies@phase=load", 4, "killed by SIGKILL"),
]


@pytest.mark.parametrize(("fault", "code", "cause"), IN_THE_LOAD)
def test_a_failed_start_names_its_cause_and_leaves_nothing(
    fastdeploy: Make, fault: str, code: int, cause: str
) -> None:
    server = fastdeploy(fault)
    judge_start(server, server.up("--json"), code, cause)


def test_a_context_that_the_kv_cache_cannot_hold(fastdeploy: Make) -> None:
    """config.py:1435: found after the load, when the blocks have been counted."""
    server = fastdeploy(env={"TWIN_GPU_BLOCKS": "16"})
    cause = "the KV cache has 16 blocks and one sequence of max-model-len needs 33"
    judge_start(server, server.up("--json"), 4, cause)


def test_a_server_that_runs_with_other_settings(fastdeploy: Make) -> None:
    """It listens: SIGTERM ends it, SIGINT would take up to half a minute or abort."""
    server = fastdeploy("config-differs@max_model_len=1024")
    up = server.up("--json")
    judge_start(server, up, 4, "max-model-len: asked 2048, runs 1024")
    assert [e["signal"] for e in up.events if e["event"] == "signal"] == ["SIGTERM"]
    assert not [e for e in up.events if e["event"] == "kill"]


@pytest.mark.parametrize(
    ("fault", "health", "cause"),
    [
        ("worker-hangs-in-load", {"no-progress-timeout": 3}, "no progress for 3 s in phase"),
        ("worker-spins-in-load", {"startup-timeout": 5}, "not ready after 5 s"),
        ("weights-cleared", {"startup-timeout": 6}, "/health answered 304"),
        ("chat-hangs", {"probe-timeout": 2}, "a short completion had no answer within 2 s"),
    ],
)
def test_a_start_that_never_ends_is_ended_by_a_deadline(
    fastdeploy: Make, fault: str, health: dict[str, float], cause: str
) -> None:
    server = fastdeploy(fault, health={"startup-timeout": 60, **health}, stop={"grace": 5})
    up = server.up("--json")
    assert up.rc == 5, up.output()
    assert cause in up.json["errors"][0]["message"], up.output()
    assert server.left() == []


def test_a_stopped_worker_is_not_hidden_by_its_busy_front_end(fastdeploy: Make) -> None:
    """The front end draws, polls and reads in bursts; only the worker carries the load."""
    server = fastdeploy(
        "late-start@phase=load@seconds=6000",
        health={"startup-timeout": 60, "no-progress-timeout": 5}, stop={"grace": 5},
    )  # fmt: skip
    process = server.spawn_up()
    server.wait_phase("load weights")
    os.kill(server.worker, signal.SIGSTOP)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 5, stdout + stderr
    message = server.status()["error"]["message"]
    assert "no progress for 5 s in phase 'load weights'" in message
    assert "stopped by a signal" in message
    assert server.left() == []


@pytest.mark.parametrize(
    ("key", "value", "cause"),
    [
        ("quantization", "nope", "nope"),
        ("parsers", {"reasoning": "nope"}, "nope"),
        ("parsers", {"reasoning": "ernie-x1", "tool-call": "nope"}, "nope"),
        ("max-num-seqs", 0, "max-num-seqs"),
        ("max-num-seqs", "abc", "max-num-seqs"),
        ("engine-args", {"gpu-memory-utilization": 1.5}, "gpu-memory-utilization"),
        ("engine-args", {"max-num-batched-tokens": 16}, "max-num-batched-tokens"),
        ("engine-args", {"no-such-flag": 1}, "no-such-flag"),
        ("engine-args", {"speculative-config": "{bad"}, "speculative-config"),
    ],
)
def test_what_fastdeploy_finds_after_seconds_or_minutes_is_found_before_the_start(
    fastdeploy: Make, key: str, value: object, cause: str
) -> None:
    server = fastdeploy(**{key: value})
    up = server.up("--json")
    assert up.rc == 2, up.output()
    problem = next(e for e in up.json["errors"] if cause in e["message"])
    assert problem["where"].startswith(f"{server.profile}:")
    assert not server.files.exists


def broken_model(folder: Path, how: str) -> Path:
    """A copy of the tiny model with one thing wrong."""
    model = folder / "model"
    shutil.copytree(MODEL, model)
    config = json.loads((model / "config.json").read_text())
    if how == "no config":
        (model / "config.json").unlink()
    elif how == "no JSON":
        (model / "config.json").write_text("{")
    elif how == "unknown architecture":
        config["architectures"] = ["NoSuchForCausalLM"]
        (model / "config.json").write_text(json.dumps(config))
    elif how == "no tokenizer":
        for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
            (model / name).unlink(missing_ok=True)
    elif how == "absent":
        shutil.rmtree(model)
    return model


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("absent", "there is no"),
        ("no config", "has no config.json"),
        ("no JSON", "config.json is not JSON"),
        ("unknown architecture", "NoSuchForCausalLM is in no FastDeploy release known here"),
        ("no tokenizer", "has no tokenizer"),
    ],
)
def test_a_broken_model_folder_is_named_before_the_start(
    fastdeploy: Make, tmp_path: Path, how: str, cause: str
) -> None:
    server = fastdeploy(model=str(broken_model(tmp_path, how)))
    up = server.up("--json")
    assert up.rc == 3, up.output()
    assert [cause in e["message"] for e in up.json["errors"]] == [True], up.output()
    assert not server.files.exists, "nothing was started"


@pytest.mark.parametrize(
    ("how", "check", "cause"),
    [
        ("no config", "model-folder", "the model folder holds no config.json"),
        ("no JSON", "model-folder", "config.json of the model is not JSON"),
        ("unknown architecture", "architecture", "no implementation of the model's architecture"),
        ("no tokenizer", "model-folder", "the tokenizer's files are not in the model folder"),
    ],
)
def test_fastdeploys_own_words_about_a_broken_model_folder_are_understood(
    fastdeploy: Make, tmp_path: Path, how: str, check: str, cause: str
) -> None:
    server = fastdeploy(model=str(broken_model(tmp_path, how)))
    judge_start(server, server.up("--json", "--force", check), 4, cause)
