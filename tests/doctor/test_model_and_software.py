"""Software and model checks, failing for real: real files, real distributions."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.conftest import Examine, Twin, make_model
from tests.support.as_json import as_json
from tests.support.decoded import JsonDict


def test_everything_is_in_order(examine: Examine) -> None:
    findings = examine()
    for check in (
        "profile", "engine", "python-version", "paddle-build", "compiler", "model-folder",
        "weight-format", "architecture", "parallel-heads", "ports", "host-address", "disk-state",
        "exposed-key", "exposed-logs", "exposed-api", "message-size", "hub",
    ):  # fmt: skip
        assert findings[check].status == "PASS", findings[check]


def test_a_profile_that_the_release_refuses(examine: Examine) -> None:
    finding = examine(**{"engine-args": {"no-such-flag": 1}})["profile"]
    assert finding.status == "FAIL"
    assert "no-such-flag" in finding.evidence
    assert "profile.yaml:" in finding.evidence


def test_no_engine_at_all(examine: Examine) -> None:
    finding = examine(python=None)["engine"]
    assert finding.status == "FAIL"
    assert finding.remedy is not None
    assert "engine install" in finding.remedy


def test_the_foreign_fastdeploy_of_pypi(examine: Examine, twin: Twin, tmp_path: Path) -> None:
    python = twin("2.3", version="2.3.1")
    site = next(Path(python).parent.parent.glob("lib/python3*/site-packages"))
    info = site / "fastdeploy-2.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fastdeploy\nVersion: 2.3.0\n")
    try:
        finding = examine(python=python)["engine"]
    finally:
        shutil.rmtree(info)
    assert finding.status == "FAIL"
    assert "notAI-tech" in finding.evidence
    assert finding.remedy is not None
    assert "uninstall" in finding.remedy


@pytest.mark.parametrize(
    ("paddle", "answer"), [("3.3.0", "PASS"), ("3.3.1", "WARN"), ("3.1.0", "FAIL")]
)
def test_paddle_must_be_the_paired_build(
    paddle: str, answer: str, examine: Examine, twin: Twin
) -> None:
    python = twin("2.4", paddle=paddle)
    note = next(
        Path(python).parent.parent.glob("lib/python3*/site-packages/fastdeploy/version.txt")
    )
    note.write_text("Paddle version: 3.3.0\n")
    finding = examine(python=python)["paddle-build"]
    assert finding.status == answer
    assert finding.remedy is None or "paddlepaddle-gpu==3.3.0" in finding.remedy


def test_the_cpu_build_of_paddle(examine: Examine, twin: Twin) -> None:
    python = twin("2.4", version="2.4.1")
    site = next(Path(python).parent.parent.glob("lib/python3*/site-packages"))
    info = next(site.glob("paddlepaddle_gpu-*.dist-info"))
    metadata = info / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: paddlepaddle\nVersion: 3.3.0\n")
    info.rename(site / "paddlepaddle-3.3.0.dist-info")
    finding = examine(python=python)["paddle-build"]
    assert finding.status == "FAIL"
    assert "CPU build" in finding.evidence


@pytest.mark.parametrize(("version", "answer"), [("3.11.4", "PASS"), ("3.8.19", "FAIL")])
def test_an_interpreter_too_old(version: str, answer: str, examine: Examine) -> None:
    import dataclasses

    findings = examine()
    assert findings.subject.installed is not None
    old = dataclasses.replace(findings.subject.installed, python_version=version)
    findings.subject = dataclasses.replace(findings.subject, installed=old)
    assert findings["python-version"].status == answer


def test_the_pythons_are_those_that_the_engine_is_installed_for(examine: Examine) -> None:
    """The doctor and `engine install` read one file; what was not tried is not a failure."""
    import dataclasses

    from launcher.engines.base import Installed, Release

    for version, answer in (("3.11.9", "PASS"), ("3.10.12", "WARN"), ("3.14.0", "WARN")):
        findings = examine(engine="transformers", model="/")
        installed = Installed("/p", version, Release("5.23.0", "5.23"))
        findings.subject = dataclasses.replace(findings.subject, installed=installed)
        assert findings["python-version"].status == answer
        assert "3.11 to 3.13" in findings["python-version"].evidence


def test_vllm_without_a_compiler(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert examine(engine="vllm")["compiler"].status == "FAIL"
    eager = {"enforce-eager": True}
    assert examine(engine="vllm", model="/", **{"engine-args": eager})["compiler"].status == "PASS"


def break_shard(model: Path) -> str:
    shard = model / "model-2.safetensors"
    os.truncate(shard, shard.stat().st_size - 1)
    return "truncated or still being copied"


def remove_shard(model: Path) -> str:
    (model / "model-1.safetensors").unlink()
    return "lacks 1 of 2 weight files: model-1.safetensors"


def leave_pointer(model: Path) -> str:
    (model / "model-1.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    return "Git LFS pointers"


def remove_config(model: Path) -> str:
    (model / "config.json").unlink()
    return "has no config.json"


def break_config(model: Path) -> str:
    (model / "config.json").write_text("{bad")
    return "is not JSON"


def remove_tokenizer(model: Path) -> str:
    (model / "tokenizer.json").unlink()
    return "has no tokenizer"


def remove_weights(model: Path) -> str:
    for path in model.glob("*.safetensors*"):
        path.unlink()
    return "has no safetensors file"


@pytest.mark.parametrize(
    "damage",
    [
        break_shard, remove_shard, leave_pointer, remove_config, break_config, remove_tokenizer,
        remove_weights,
    ],
)  # fmt: skip
def test_a_model_folder_that_is_not_whole(damage: Any, examine: Examine, tmp_path: Path) -> None:
    model = make_model(tmp_path / "broken")
    expected = damage(model)
    finding = examine(engine="transformers", model=str(model))["model-folder"]
    assert finding.status == "FAIL"
    assert expected in finding.evidence
    assert finding.remedy


@pytest.mark.parametrize(
    ("release", "config", "arguments", "answer"),
    [
        ("2.1", {}, {}, "FAIL"),
        ("2.1", {"torch_dtype": None, "dtype": "bfloat16"}, {}, "PASS"),
        ("2.2", {}, {}, "FAIL"),
        ("2.2", {}, {"load_choices": "default_v1"}, "PASS"),
        ("2.3", {}, {}, "PASS"),
        ("2.3", {}, {"load-choices": "default"}, "FAIL"),
        ("2.3", {"torch_dtype": None, "dtype": "x", "transformers_version": "4.57"}, {}, "PASS"),
        ("2.1", {"torch_dtype": None, "dtype": "x", "transformers_version": "4.57"}, {}, "FAIL"),
        ("2.1", {"torch_dtype": None, "dtype": "x", "transformers_version": "4.6"}, {}, "PASS"),
        ("2.3", {"dtype": "bfloat16"}, {}, "FAIL"),
        ("2.3", {"torch_dtype": None}, {}, "WARN"),
    ],
)
def test_weight_layouts(
    release: str,
    config: dict[str, object],
    arguments: JsonDict,
    answer: str,
    examine: Examine,
    twin: Twin,
    tmp_path: Path,
) -> None:
    model = make_model(tmp_path / "weights", **config)
    finding = examine(model=str(model), python=twin(release), **{"engine-args": arguments})
    assert finding["weight-format"].status == answer, finding["weight-format"]


@pytest.mark.parametrize(
    ("release", "architecture", "answer"),
    [
        ("2.4", "NopeForCausalLM", "FAIL"),
        ("2.2", "Ernie4_5ForCausalLM", "FAIL"),
        ("2.2", "Ernie4_5_MoeForCausalLM", "PASS"),
    ],
)
def test_architectures(
    release: str, architecture: str, answer: str, examine: Examine, twin: Twin, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "arch", architectures=[architecture])
    finding = examine(model=str(model), python=twin(release))["architecture"]
    assert finding.status == answer


def test_heads_that_cannot_be_split(examine: Examine, tmp_path: Path) -> None:
    finding = examine(engine="vllm", **{"tensor-parallel-size": 3})["parallel-heads"]
    assert finding.status == "FAIL"
    assert finding.remedy == "set tensor-parallel-size to one of [1, 2, 4]"


def test_the_json_of_a_finding_is_plain(examine: Examine) -> None:
    assert as_json(examine()["model-folder"])["status"] == "PASS"
