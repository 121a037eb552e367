"""What FastDeploy's server needs of a machine, and the checks that only FastDeploy has."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from packaging.version import Version

from launcher import paths
from launcher.engines.doctor_checks import (
    Check,
    Compiler,
    Download,
    Needs,
    Outcome,
    Subject,
    fail,
    ok,
    share_of,
    unknown,
    warn,
)
from launcher.engines.fastdeploy.exposure import CHECKS as EXPOSURE
from launcher.engines.fastdeploy.memory import streamed
from launcher.engines.fastdeploy.release_data import LINES, load
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.release import Release
from launcher.host.gpus import Gpu
from launcher.host.packages import build_note
from launcher.json_values import JsonObject, list_at, object_at, text_at
from launcher.profile.model import Profile

CUDA = (12, 3)
"""Oldest CUDA that the driver must support for FastDeploy's wheels (docs/.../nvidia_gpu.md)."""

START = 25.0
"""Seconds a start takes with nothing to load: imports and fixed sleeps, measured on 2 cores."""

MSGMAX = 1024 * 1024
"""A logprob message takes 133 to 803 KB (PaddlePaddle/FastDeploy#6508)."""

MSGMNB = 256 * 1024 * 1024
_SYSCTL = f"sysctl -w kernel.msgmax={MSGMAX} kernel.msgmnb={MSGMNB}"

HUBS = {
    "AISTUDIO": "git.aistudio.baidu.com",
    "MODELSCOPE": "modelscope.cn",
    "HUGGINGFACE": "huggingface.co",
}
"""Where FastDeploy looks for a model that is not a folder, by FD_MODEL_SOURCE (else AISTUDIO)."""


def needs(profile: Profile, release: Release | None) -> Needs:
    """See `Engine.needs`; the oldest driver is that of `engine install`."""
    requested = Requested(profile)
    source = profile.env.get("FD_MODEL_SOURCE", "AISTUDIO")
    streams = streamed(profile, release.line if release else LINES[-1])
    return Needs(
        gpu=True,
        ranks=requested.local_ranks,
        gpu_share=share_of(str(requested.value("gpu-memory-utilization")), 0.9),
        driver=int(str(recipe()["minimum-driver"])),
        cuda=CUDA,
        streams=streams,
        stream_remedy="" if streams else "`load-choices: default_v1` needs far less (2.2+)",
        start=START,
        asks_key=profile.api_key is not None or bool(profile.env.get("FD_API_KEY")),
        compiler=Compiler(False, "FastDeploy's wheels are compiled; ccache is not needed"),
        download=Download(
            Path(profile.cache_dir) if profile.cache_dir else Path.home(),
            # Its hubs but one know Baidu's models under another owner.
            (profile.model, profile.model.replace("baidu/", "PaddlePaddle/")),
            HUBS.get(source.upper(), HUBS["AISTUDIO"]),
        ),
    )


@functools.cache
def recipe() -> JsonObject:
    """How `engine install` chooses wheels: pairings, architectures, the oldest driver."""
    path = paths.shipped("deploy", "requirements", "fastdeploy.json")
    data: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    return data


def impostor(subject: Subject) -> Outcome | None:
    """A trace of the PyPI project `fastdeploy` in the same interpreter."""
    installed = subject.installed
    if installed is None or installed.release is None:
        return None
    for folder in subject.host.site_packages(installed.python):
        traces = [*sorted(folder.glob("fastdeploy-*.dist-info")), folder / "fastdeploy/_infer.py"]
        trace = next((path for path in traces if path.exists()), None)
        if trace is not None:
            return fail(
                f"{trace} belongs to the unrelated PyPI project `fastdeploy`",
                f"{installed.python} -m pip uninstall -y fastdeploy",
            )
    return ok(f"nothing of it is in {installed.python}")


def paddle_build(subject: Subject) -> Outcome | None:
    """Paddle's version against version.txt in the wheel, else the published pairing."""
    installed = subject.installed
    if installed is None or installed.release is None:
        return None
    have = installed.distributions.get("paddlepaddle-gpu")
    python = installed.python
    note = build_note(python)
    paired, index = _pairing(installed.release)
    built = (note.find("paddle", "version") if note else None) or paired
    how = note.path if note else f"the pairing of FastDeploy {installed.release.line}"
    remedy = f"{python} -m pip install paddlepaddle-gpu=={built} -i {index}"
    if have is None:
        cpu = installed.distributions.get("paddlepaddle")
        if cpu is None:
            return fail("neither paddlepaddle-gpu nor paddlepaddle is installed", remedy)
        return fail(
            f"the CPU build paddlepaddle {cpu} is installed",
            f"{python} -m pip uninstall -y paddlepaddle; {remedy}",
        )
    if have == built:
        return ok(f"paddlepaddle-gpu {have}, as {how} says")
    if have.split(".")[:2] == built.split(".")[:2]:
        return warn(f"paddlepaddle-gpu {have}; {how} says {built}", remedy)
    return fail(f"paddlepaddle-gpu {have}; {how} says {built}", remedy)


def _pairing(release: Release) -> tuple[str, str]:
    """The Paddle that goes with a FastDeploy release (or the last of its line), and its index."""
    releases = object_at(recipe(), "releases")
    lines = list(releases)
    # The newest pairing stands in for a release that is not catalogued.
    line = [v for v in lines if v.startswith(f"{release.line}.")] or lines[-1:]
    version = release.version if release.version in line else line[-1]
    paddle = text_at(releases, version, "paddlepaddle-gpu")
    by_cuda = text_at(cuda_builds(version), "cu126", "index")
    return paddle, by_cuda or text_at(recipe(), "paddle", "index")


def cuda_builds(version: str | None) -> JsonObject:
    """The wheels of a version by their CUDA, from 2.5 on; empty where wheels go by the card."""
    since = text_at(recipe(), "cuda-builds", "since")
    if not since or version is None or Version(version) < Version(since):
        return {}
    return object_at(recipe(), "cuda-builds", "kinds")


def weight_format(subject: Subject) -> Outcome | None:
    """-Paddle against Hugging Face layout: `torch_dtype` in config.json tells them apart."""
    config, line = _config(subject), subject.line
    if config is None or line is None:
        return None
    torch, paddle = "torch_dtype" in config, "dtype" in config
    newer = _numbers(config.get("transformers_version")) > (4, 56)
    if torch and paddle:
        return fail(
            "config.json has both torch_dtype and dtype: FastDeploy cannot tell the format",
            "restore config.json from the hub",
        )
    if not torch and not paddle:
        return warn("config.json has neither torch_dtype nor dtype", "use the -Paddle repository")
    if not (torch or newer):
        return ok("Paddle's layout, which every release reads")
    if line in ("2.0", "2.1"):
        return fail(
            f"Hugging Face layout; FastDeploy {line} reads only Paddle's",
            "use the -Paddle repository, or FastDeploy 2.2 or newer",
        )
    if not subject.needs.streams:
        return fail(
            f"Hugging Face layout; FastDeploy {line} reads it with the loader default_v1 only",
            "set `load-choices: default_v1` under engine-args",
        )
    return ok(f"Hugging Face layout, which FastDeploy {line} reads")


def architecture(subject: Subject) -> Outcome | None:
    """`architectures[0]` of config.json in the table of the release."""
    config, line = _config(subject), subject.line
    if config is None or line is None:
        return None
    names = [str(name) for name in list_at(config, "architectures")]
    if not names:
        return fail("config.json names no architecture", "restore config.json from the hub")
    first = next((r for r in sorted(_supported()) if names[0] in _supported()[r]), None)
    if first is None:
        return fail(
            f"{names[0]} is in no FastDeploy release known here",
            "another engine (vllm, transformers), or another model",
        )
    if first > line:
        return fail(
            f"{names[0]} came with FastDeploy {first}, installed is {line}",
            f'ernie-deploy engine install "fastdeploy>={first}"',
        )
    return ok(f"{names[0]}, in FastDeploy since {first}")


def visible(subject: Subject) -> Outcome | None:
    """The caller's CUDA_VISIBLE_DEVICES, which the server inherits where `gpus` is not given."""
    value = subject.host.variable("CUDA_VISIBLE_DEVICES")
    if value is None or subject.profile is None or subject.profile.gpus is not None:
        return None
    listed = [item.strip() for item in value.split(",") if item.strip()]
    ranks = subject.needs.ranks
    summary = f"CUDA_VISIBLE_DEVICES={','.join(listed)} is set here and the profile has no `gpus`"
    if len(listed) == ranks and all(name.isdigit() for name in listed):
        return ok(f"{summary}: {ranks} for {ranks} rank(s)")
    numbers = ", ".join(name for name in listed if name.isdigit()) or "0"
    return fail(
        f"{summary}; FastDeploy starts a worker for each entry, by number, and {ranks} are"
        " requested",
        f"write `gpus: [{numbers}]`, as many numbers as ranks, into the profile; or "
        "unset CUDA_VISIBLE_DEVICES",
    )


def gpu_architecture(subject: Subject) -> Outcome | None:
    """Compute capability against the wheel that is installed."""
    used = subject.used_gpus()
    if not used:
        return None
    with_capability = [g for g in used if g.compute_capability is not None]
    if not with_capability:
        return unknown("the driver does not tell the cards' compute capability")
    release = subject.installed.release if subject.installed else None
    if release is not None and cuda_builds(release.version):
        return _one_wheel(subject, with_capability, release.version)
    kinds = object_at(recipe(), "architectures")
    built_for = {
        str(text): kind for kind in kinds for text in list_at(kinds, kind, "compute-capability")
    }
    wheels: dict[str, Gpu] = {}
    for card in with_capability:
        major, minor = card.compute_capability or (0, 0)
        wheel = built_for.get(f"{major}.{minor}")
        if wheel is None:
            return fail(
                f"GPU {card.index} {card.name} has compute capability {major}.{minor}, "
                "for which no FastDeploy wheel is built",
                f"use a card of {', '.join(sorted(built_for))}, or another engine",
            )
        wheels[wheel] = card
    if len(wheels) > 1:
        return fail(
            "the cards need different wheels: "
            + ", ".join(f"GPU {g.index} {g.name}: {w}" for w, g in wheels.items()),
            "name cards of one kind under `gpus:`",
        )
    wheel = next(iter(wheels))
    python = subject.installed.python if subject.installed else ""
    built = text_at(subject.host.environment_facts("fastdeploy", python), "arch") or None
    if built is None:
        return unknown(
            f"these cards need the wheel {wheel}; an installed wheel does not tell its kind",
            "environments of `ernie-deploy engine install fastdeploy` remember it",
        )
    if built != wheel:
        return fail(
            f"the wheel installed is {built}, these cards need {wheel}",
            "ernie-deploy engine install fastdeploy",
        )
    return ok(f"wheel {wheel} for {', '.join(g.name for g in with_capability)}")


def _one_wheel(subject: Subject, cards: list[Gpu], version: str) -> Outcome:
    """From 2.5 on one wheel serves all cards; its CUDA version must not be newer than the driver.

    Wheels of a newer minor version run too, but for kernels that have to be compiled at run time.
    """
    kinds = cuda_builds(version)
    served = {text for kind in kinds for text in list_at(kinds, kind, "compute-capability")}
    for card in cards:
        major, minor = card.compute_capability or (0, 0)
        if f"{major}.{minor}" not in served:
            return fail(
                f"GPU {card.index} {card.name} has compute capability {major}.{minor}, "
                "for which no FastDeploy wheel is built",
                "use another card, or another engine",
            )
    python = subject.installed.python if subject.installed else ""
    built = text_at(subject.host.environment_facts("fastdeploy", python), "arch")
    cuda, driver = text_at(kinds, built, "cuda"), subject.host.gpus.cuda
    names = ", ".join(card.name for card in cards)
    if not cuda or driver is None:
        return ok(f"one wheel of FastDeploy {version} for {names}")
    summary = f"wheel {built} (CUDA {cuda}), driver for CUDA {driver}: {names}"
    if Version(cuda) > Version(driver):
        return warn(summary, "ernie-deploy engine install fastdeploy --arch cu126")
    return ok(summary)


def message_size(subject: Subject) -> Outcome | None:
    """System V message sizes against what logprobs need."""
    size, bound = subject.host.sysctl("kernel.msgmax"), subject.host.sysctl("kernel.msgmnb")
    if size is None or bound is None:
        return unknown("kernel.msgmax is not in /proc/sys")
    summary = f"kernel.msgmax {size}, kernel.msgmnb {bound}"
    profile = subject.profile
    logprobs_enabled = subject.argument("enable-logprob") in (True, "true")
    if not logprobs_enabled:
        return ok(f"{summary}; the profile asks for no logprobs")
    if profile is not None and profile.env.get("FD_USE_GET_SAVE_OUTPUT_V1") == "1":
        return ok(f"{summary}; FD_USE_GET_SAVE_OUTPUT_V1=1 does not use these queues")
    if size < MSGMAX or bound < MSGMAX:
        return fail(
            f"{summary}; logprobs need {MSGMAX}",
            f'{_SYSCTL}, or `env: {{FD_USE_GET_SAVE_OUTPUT_V1: "1"}}` (FastDeploy 2.3+)',
        )
    return ok(summary)


def _config(subject: Subject) -> JsonObject | None:
    """config.json of a local model; None where it cannot be read, which another check reports."""
    if subject.profile is None or not subject.profile.model_is_path:
        return None
    try:
        text = (Path(subject.profile.model) / "config.json").read_text(encoding="utf-8")
        return object_at(json.loads(text)) or None
    except (OSError, ValueError):
        return None


def _numbers(version: object) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(version))[:3])


@functools.cache
def _supported() -> dict[str, set[str]]:
    """Release line to the architectures it added."""
    added = object_at(load("models.json"), "architectures_by_release")
    return {name.partition("_")[0]: {str(a) for a in list_at(added, name)} for name in added}


CHECKS = (
    Check(
        "wrong-fastdeploy",
        "the PyPI project `fastdeploy` is not in the same interpreter",
        "it is another project with the same versions, and its package hides the right one",
        impostor,
        "software",
    ),
    Check(
        "paddle-build",
        "Paddle is the build that FastDeploy's operators were compiled against",
        "a Paddle that does not match fails late, in a kernel (FastDeploy#5768)",
        paddle_build,
        "software",
    ),
    Check(
        "weight-format",
        "the weights have a layout that the release reads",
        "-PT weights on an old release end in a TypeError deep in the load (FastDeploy#2655)",
        weight_format,
        "model",
    ),
    Check(
        "architecture",
        "the release implements the model's architecture",
        "FastDeploy says only that the model does not support its runner",
        architecture,
        "model",
    ),
    Check(
        "visible-devices",
        "CUDA_VISIBLE_DEVICES of this shell names one GPU for each rank",
        "the list becomes the launcher's device list: workers too many, or `substring not found`",
        visible,
        "gpu",
    ),
    Check(
        "gpu-architecture",
        "the wheel was built for these cards",
        "the wrong wheel loads the whole model and dies in its first kernel (FastDeploy#3930)",
        gpu_architecture,
        "gpu",
        fast=False,
    ),
    Check(
        "message-size",
        "the kernel's message size is enough for logprobs",
        "a message that is too large stalls the request without an error",
        message_size,
        "kernel",
    ),
    *EXPOSURE,
)
