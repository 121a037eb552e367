"""The engine object of FastDeploy: a profile in, a launch plan out.

What judges a profile is imported with it; what only a plan, its memory or a comparison of releases
needs is imported by these: `validate` is run again and again, by editors and pipelines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.version import Version

from launcher.engines.base import Signature
from launcher.engines.fastdeploy import checks
from launcher.engines.fastdeploy.catalogue import catalogue_key
from launcher.engines.fastdeploy.groups import GROUPS
from launcher.engines.fastdeploy.question import QUESTION
from launcher.engines.fastdeploy.release_data import LINES, at_least, is_catalogued
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.versions import parse_version
from launcher.errors import PreconditionError, Problem, ProfileError
from launcher.json_values import JsonObject
from launcher.profile.model import Profile

if TYPE_CHECKING:
    from launcher.engines.base import (
        Capability,
        GroupFacts,
        Installed,
        MemoryFacts,
        PlanContext,
        PortNeed,
        Program,
        Question,
        Release,
    )
    from launcher.engines.doctor_checks import Check, Needs
    from launcher.host.gpus import GpuReport
    from launcher.plan.model import LaunchPlan

WHEELS = ("fastdeploy-gpu", "fastdeploy-xpu")
"""Distributions of PaddlePaddle's FastDeploy; none of them is on PyPI."""

IMPOSTOR = "fastdeploy"
"""On PyPI this is notAI-tech/fastDeploy, with version numbers that collide with FastDeploy's."""


class FastDeploy:
    """PaddlePaddle's FastDeploy, as the Protocol `launcher.engines.base.Engine`."""

    name = "fastdeploy"
    title = "FastDeploy"
    lines = LINES
    distributions = (*WHEELS, IMPOSTOR, "paddlepaddle-gpu", "paddlepaddle", "paddlepaddle-xpu")
    question: Question | None = QUESTION
    program: Program | None = None
    local = True
    sized = True
    data: Path | None = Path(__file__).parent / "data"
    pulled_as: Literal["folder", "cache"] | None = "folder"
    signature = Signature(owned_by="fastdeploy", metrics="fastdeploy")
    answers_of = ""
    groups: GroupFacts | None = GROUPS
    nodes_option: str | None = "ips"

    @property
    def memory(self) -> MemoryFacts:
        """For `plan --memory`."""
        from launcher.engines.fastdeploy import memory

        return memory

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge what an interpreter has; the unrelated PyPI project `fastdeploy` is a problem."""
        from launcher.engines.base import Installed

        wheel = next((name for name in WHEELS if name in distributions), None)
        if IMPOSTOR in distributions:
            return Installed(
                python, python_version, None, distributions,
                Problem(
                    "wrong-package",
                    f"{python} has the PyPI project `fastdeploy` {distributions[IMPOSTOR]}: that "
                    "is notAI-tech/fastDeploy, not PaddlePaddle's FastDeploy, and its package of "
                    "the same name hides the right one",
                    "python",
                    f"{python} -m pip uninstall fastdeploy, then "
                    "ernie-deploy engine install fastdeploy",
                ),
            )  # fmt: skip
        if wheel is None:
            return Installed(python, python_version, None, distributions)
        if not any(name.startswith("paddlepaddle") for name in distributions):
            return Installed(
                python, python_version, None, distributions,
                Problem("incomplete-engine",
                        f"{python} has {wheel} {distributions[wheel]} without PaddlePaddle",
                        "python", "ernie-deploy engine install fastdeploy"),
            )  # fmt: skip
        try:
            release = self.release(distributions[wheel])
        except PreconditionError as error:
            return Installed(python, python_version, None, distributions, error.problems[0])
        return Installed(python, python_version, release, distributions)

    def release(self, version: str) -> Release:
        """The release a version belongs to; one that is newer than the catalogue is admitted.

        Raises:
            PreconditionError: it is not a version, or older than every known one.
        """
        from launcher.engines.base import Release

        parts = parse_version(version, "FastDeploy").release
        line = f"{parts[0]}.{(*parts, 0)[1]}"
        if line not in LINES and Version(line) < Version(LINES[-1]):
            raise PreconditionError.of(
                "unknown-release",
                f"FastDeploy {version} is not known to this ernie-deploy, which knows "
                f"{LINES[0]} and later",
                remedy=f"ernie-deploy engine install fastdeploy=={LINES[-1]}.*",
            )
        return Release(version, line)

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """Every port; metrics and queues are on every address whatever `host` is."""
        from launcher.engines.fastdeploy.ports import ports

        return ports(profile, release)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile; see `Engine.validate`."""
        return checks.validate(profile, release)

    def notes(self, profile: Profile, release: Release | None) -> tuple[str, ...]:
        """What `validate` should say although nothing is wrong: names that are translated."""
        lines = (catalogue_key(release),) if release else LINES[-1:]
        borrowed: tuple[str, ...] = ()
        if release is not None and not is_catalogued(release.line):
            from launcher.engines.fastdeploy import release_notes

            borrowed = tuple(release_notes.sources(release.version, release.line))
        return borrowed + tuple(note for line in lines for note in checks.notes(profile, line))

    def diff(self, profile: Profile, old: str, new: str) -> JsonObject | None:
        """What changes for the profile from one release to another; see `releases.diff`."""
        from launcher.engines.fastdeploy import releases

        return releases.diff(profile, old, new)

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """What the server needs of the machine."""
        from launcher.engines.fastdeploy import doctor_checks

        return doctor_checks.needs(profile, release)

    def check_machine(
        self, profile: Profile, installed: Installed, query: Callable[[], GpuReport]
    ) -> list[Problem]:
        """Quantization methods that need newer GPUs."""
        from launcher.engines.fastdeploy.machine import check_gpus

        return check_gpus(profile, query)

    def doctor_checks(self) -> tuple[Check, ...]:
        """Wheels, weights, kernel messages, queues and metrics of FastDeploy."""
        from launcher.engines.fastdeploy import doctor_checks

        return doctor_checks.CHECKS

    def environment_names(self, has_gpu: Callable[[], bool]) -> tuple[str, ...]:
        """One name: every build is for GPUs."""
        return (self.name,)

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What a server of this profile promises.

        FastDeploy answers many bad requests with 500, so `bad-request-4xx` is never promised.
        """
        requested = Requested(profile)
        line = release.line if release else LINES[-1]
        promised = {
            "health", "chat", "completions", "stream", "stream-done", "stream-usage", "usage",
            "stop", "max-tokens", "seed", "penalties", "metrics", "context-limit-error",
        }  # fmt: skip
        if at_least(line, "2.2"):
            promised.add("models")
        if at_least(line, "2.3"):
            promised.add("settings")
        if requested.value("reasoning-parser"):
            promised.add("reasoning")
        if requested.value("tool-call-parser"):
            promised |= {"tools", "tools-stream"}
        if requested.value("enable-logprob") is True:
            promised.add("logprobs")
        if requested.value("guided-decoding-backend") not in (None, "off"):
            promised |= {"json-mode", "json-schema"}
        if profile.api_key is not None:
            promised.add("auth")
        if requested.served_name:
            promised.add("unknown-model-error")
        promised |= self._media(profile, requested)
        return frozenset(promised)

    def _media(self, profile: Profile, requested: Requested) -> frozenset[Capability]:
        """One item of each kind by default: `_parse_limits` of the vision models' processors."""
        from launcher.engines.fastdeploy.models_on_release import is_vision
        from launcher.engines.media import media_capabilities

        if not is_vision(profile) or requested.value("deploy-modality") == "text":
            return frozenset()
        ocr = "paddleocr" in profile.model.lower()
        return media_capabilities(requested.mapping("limit-mm-per-prompt"), 1, video=not ocr)

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan.

        Raises:
            ProfileError: `validate` has problems.
            PreconditionError: a path of ours cannot go through FastDeploy's shell command.
        """
        from launcher.engines.fastdeploy.launch import launch_plan

        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        return launch_plan(profile, context)


ENGINE = FastDeploy()
