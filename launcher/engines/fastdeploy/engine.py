"""The engine object of FastDeploy: a profile in, a launch plan out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from launcher.engines.base import (
    Capability,
    Installed,
    MemoryFacts,
    PlanContext,
    PortNeed,
    Question,
    Release,
)
from launcher.engines.common import argv_of, common_parts
from launcher.engines.fastdeploy import (
    checks,
    command,
    failures,
    memory,
    releases,
    surroundings,
    watching,
)
from launcher.engines.fastdeploy.asked import Requested
from launcher.engines.fastdeploy.catalogue import LINES
from launcher.engines.fastdeploy.leftovers import leftovers
from launcher.engines.fastdeploy.ports import EVERYWHERE, ports, sockets
from launcher.engines.fastdeploy.ports import uses as port_uses
from launcher.engines.fastdeploy.readiness import readiness
from launcher.engines.fastdeploy.shell import refuse_unsafe
from launcher.errors import PreconditionError, Problem, ProfileError
from launcher.plan.model import LaunchPlan, StopPolicy, StopStage
from launcher.profile.model import Profile

WHEELS = ("fastdeploy-gpu", "fastdeploy-xpu")
"""Distributions of PaddlePaddle's FastDeploy; none of them is on PyPI."""

IMPOSTOR = "fastdeploy"
"""On PyPI this is notAI-tech/fastDeploy, with version numbers that collide with FastDeploy's."""

LOADING_WAIT = 20.0
"""Seconds: SIGINT while loading was measured to end everything in 12 s."""


class FastDeploy:
    """PaddlePaddle's FastDeploy, as the Protocol `launcher.engines.base.Engine`."""

    name = "fastdeploy"
    title = "FastDeploy"
    lines = LINES
    distributions = (*WHEELS, IMPOSTOR, "paddlepaddle-gpu", "paddlepaddle", "paddlepaddle-xpu")
    question: Question | None = None
    memory: MemoryFacts | None = memory

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge what an interpreter has; the unrelated PyPI project `fastdeploy` is a problem."""
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
        """The release a version belongs to.

        Raises:
            PreconditionError: it is not a version, or of a line whose facts are not known.
        """
        try:
            parts = Version(version).release
        except InvalidVersion as error:
            raise PreconditionError.of(
                "unknown-release", f"{version!r} is not a version of FastDeploy"
            ) from error
        line = f"{parts[0]}.{(*parts, 0)[1]}"
        if line not in LINES:
            raise PreconditionError.of(
                "unknown-release",
                f"FastDeploy {version} is not known to this ernie-deploy, which knows "
                f"{LINES[0]} to {LINES[-1]}",
                remedy=f"ernie-deploy engine install fastdeploy=={LINES[-1]}.*",
            )
        return Release(version, line)

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """Every port; metrics and queues are on every address whatever `host` is."""
        return ports(profile, release)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile; see `Engine.validate`."""
        return checks.validate(profile, release)

    def notes(self, profile: Profile, release: Release | None) -> tuple[str, ...]:
        """What `validate` should say although nothing is wrong: names that are translated."""
        lines = (release.line,) if release else LINES[-1:]
        return tuple(note for line in lines for note in checks.notes(profile, line))

    def diff(self, profile: Profile, old: str, new: str) -> dict[str, Any]:
        """What changes for the profile from one release to another; see `releases.diff`."""
        return releases.diff(profile, old, new)

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
        if line >= "2.2":
            promised.add("models")
        if line >= "2.3":
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
        if command.served(profile):
            promised.add("unknown-model-error")
        return frozenset(promised)

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan.

        Raises:
            ProfileError: `validate` has problems.
            PreconditionError: a path of ours cannot go through FastDeploy's shell command.
        """
        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        refuse_unsafe({"the log folder": str(context.log_folder), "the Python": context.python})
        flags = command.flags(profile, context)
        return LaunchPlan(
            argv=argv_of(context.python, command.MODULE, flags),
            module=command.MODULE,
            flags=flags,
            env=surroundings.variables(profile, context),
            secrets=surroundings.secrets(profile),
            folders=surroundings.folders(context),
            ports=port_uses(profile, context),
            sockets=sockets(profile, context),
            served_model=command.served(profile),
            log_sources=watching.LOG_SOURCES,
            phases=watching.PHASES,
            phase_rules=watching.PHASE_RULES,
            failure_rules=failures.rules(context.release.line),
            noise=failures.noise(),
            readiness=readiness(profile, context),
            stop=_stop(profile),
            leftovers=leftovers(profile, context),
            exit_codes=watching.EXIT_CODES,
            vital=watching.VITAL,
            told_to_stop=watching.TOLD_TO_STOP,
            progress=watching.PROGRESS,
            notes=_notes(profile, context),
            gpu_ranks=Requested(profile).local_ranks,
            **common_parts(profile, context),
        )


def _stop(profile: Profile) -> StopPolicy:
    """SIGTERM while loading orphans the workers, SIGINT when ready the cache queue: measured."""
    grace = profile.stop.grace
    return StopPolicy(
        loading=(StopStage("SIGINT", "main", max(LOADING_WAIT, grace)),),
        ready=(StopStage("SIGTERM", "main", profile.stop.drain + grace),),
        drain=profile.stop.drain,
    )


def _notes(profile: Profile, context: PlanContext) -> tuple[str, ...]:
    line = context.release.line
    notes = list(checks.notes(profile, line))
    everywhere = [
        use.name for use in port_uses(profile, context) if use.bound and use.name != "api"
    ]
    notes.append(
        f"{', '.join(everywhere)} listen on {EVERYWHERE} whatever `host` is: close their ports "
        "in the firewall"
    )
    if profile.env.get("FD_ENABLE_INTERNAL_ADAPTER") not in (None, "", "0"):
        notes.append(
            "FD_ENABLE_INTERNAL_ADAPTER opens the ports of FD_ZMQ_RECV_REQUEST_SERVER_PORT, "
            "FD_ZMQ_SEND_RESPONSE_SERVER_PORT and FD_ZMQ_CONTROL_CMD_SERVER_PORTS on every "
            "address too; they are not leased"
        )
    if line in ("2.0", "2.1", "2.2"):
        notes.append(f"FastDeploy {line} keeps metrics in /tmp/prom_main, shared by all servers "
                    "of the host")  # fmt: skip
    if not profile.stop.drain:
        notes.append(
            "running streams are cut when it stops"
            + ("; `stop: {drain: SECONDS}` lets them end" if line >= "2.3" else "")
        )
    if profile.api_key is not None:
        notes.append("/config-info on the metrics port shows FD_API_KEY in clear to anyone")
    return tuple(notes)


ENGINE = FastDeploy()
