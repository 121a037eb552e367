"""Problems of a profile with one machine: its GPUs, and the libraries beside the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher.engines.base import Installed, Release
from launcher.environments.suitability import check_machine
from launcher.host.gpus import Gpu, GpuReport
from tests.engines import making
from tests.support.decoded import JsonDict

INSTALLED = Installed("/venv/bin/python", "3.11", Release("2.3.2", "2.3"))


def machine(*capabilities: tuple[int, int] | None) -> Any:
    cards = tuple(
        Gpu(index, f"uuid-{index}", f"card {index}", capability, 80, 80)
        for index, capability in enumerate(capabilities)
    )
    return lambda: GpuReport(cards, "535", "12.4", "a test")


def never() -> GpuReport:
    raise AssertionError("the GPUs do not matter here")


@pytest.mark.parametrize(
    ("values", "capabilities", "where"),
    [
        ({"quantization": "block_wise_fp8"}, [(8, 0)], "p.yaml:3:3"),
        ({"quantization": "block_wise_fp8"}, [(8, 9)], "p.yaml:3:3"),
        ({"quantization": "block_wise_fp8"}, [(9, 0)], None),
        ({"quantization": "block_wise_fp8"}, [(10, 0)], None),
        ({"quantization": "block_wise_fp8"}, [(9, 0), (8, 0)], "p.yaml:3:3"),
        ({"quantization": "block_wise_fp8", "gpus": ("0",)}, [(9, 0), (8, 0)], None),
        ({"quantization": "block_wise_fp8", "gpus": ("1",)}, [(9, 0), (8, 0)], "p.yaml:3:3"),
        # What cannot be seen is not claimed.
        ({"quantization": "block_wise_fp8"}, [], None),
        ({"quantization": "block_wise_fp8"}, [None], None),
        ({"engine_args": {"quantization": '{"quantization": "block_wise_fp8"}'}}, [(8, 0)],
         "p.yaml:4:3"),
        ({"model": "baidu/ERNIE-4.5-300B-A47B-FP8-Paddle"}, [(8, 0)], "p.yaml:2:3"),
        ({"model": "baidu/ERNIE-4.5-300B-A47B-FP8-Paddle"}, [(9, 0)], None),
    ],
)  # fmt: skip
def test_block_wise_fp8_needs_hopper(
    values: JsonDict, capabilities: list[tuple[int, int] | None], where: str | None
) -> None:
    got = check_machine(making.profile(**values), INSTALLED, machine(*capabilities))
    assert [(p.code, p.where) for p in got] == (
        [("impossible-combination", where)] if where else []
    )
    for problem in got:
        assert "Hopper" in problem.message
        assert problem.remedy


@pytest.mark.parametrize("values", [{}, {"quantization": "wint4"}, {"quantization": "wint8"}])
def test_other_methods_ask_no_gpu(values: JsonDict) -> None:
    assert check_machine(making.profile(**values), INSTALLED, never) == []


@pytest.mark.parametrize(
    ("version", "args", "refused"),
    [("4.57.3", {"trust-remote-code": True}, True), ("5.2.0", {"trust-remote-code": True}, False),
     ("4.57.3", {}, False)],
)  # fmt: skip
def test_vllm_imports_a_model_s_code_with_its_own_transformers(
    version: str, args: JsonDict, refused: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "ERNIE-4.5-VL"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "c.C"}}))
    profile = making.profile("vllm", model=str(folder), engine_args=args)
    installed = Installed(
        "/v/bin/python", "3.11", Release("0.11.1", "0.11"), {"transformers": version}
    )
    codes = [p.code for p in check_machine(profile, installed, never)]
    assert codes == ["bad-model-path"] * refused
