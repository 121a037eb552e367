"""The scripted engine as a third party would write one: a Protocol object for `fake_server.py`.

`engine-args: {script: {...}}` is handed to the server as it is. Further arguments set fields of
the launch plan: `shm`, `queue`, `temporary`, `phases`, `vital`, `probe-timeout`, `secret`.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from launcher.engines.base import Engine, Installed, PlanContext, PortNeed, Release
from launcher.engines.plan_parts import common_env, common_parts, split_env
from launcher.errors import Problem
from launcher.liveness.policy import Counters, LivenessPolicy
from launcher.plan.figures import Figures
from launcher.plan.model import (
    EnvVar,
    FailureRule,
    Flag,
    FtokKey,
    LaunchPlan,
    Leftovers,
    LogSource,
    Phase,
    PhaseRule,
    PortUse,
    Readiness,
    SettingCheck,
    StopPolicy,
    StopStage,
)
from launcher.profile.model import Profile
from tests.support import ROOT
from tests.support.decoded import JsonDict

SERVER = Path(__file__).with_name("fake_server.py")

PHASES = (Phase("import", "import libraries"), Phase("weights", "load weights"))
RULES = (
    PhaseRule("import", r"PHASE import"),
    PhaseRule("weights", r"PHASE weights(?: (?P<percent>\d+)%)?"),
    PhaseRule("weights", r"weights in a file (?P<percent>\d+)%", source="worker"),
)
FAILURES = (
    FailureRule("ED-FAKE-FATAL", r"FATAL (?P<what>.+)", "it said {what}", "do not say it"),
    FailureRule(
        "ED-FAKE-LOST", r"LOST (?P<what>.+)", "it lost {what}", "find it", when="any", retry=True
    ),
    FailureRule("ED-FAKE-BROKEN", r"BROKEN (?P<what>.+)", "{what} is broken", "repair it",
                when="any"),
    FailureRule("ED-FAKE-SUMMARY", r"it all went wrong", "something failed", "look", summary=True),
    FailureRule("ED-FAKE-CAUSE", r"ValueError: the cause: (?P<what>.+)", "{what}", "fix it",
                fatal=False),
    FailureRule("ED-FAKE-PORT", r"cannot bind port (?P<port>\d+)", "port {port} was taken",
                "look who has it"),
)  # fmt: skip

FIGURES = Figures(ttft="fake:ttft_seconds")
COUNTERS = Counters(
    progress=("fake:tokens_total",),
    running=("fake:running",),
    waiting=("fake:waiting",),
    tokens="fake:tokens_total",
    kv_usage="fake:kv_usage",
)
TELLING = LivenessPolicy(counters=COUNTERS, metrics_port="api")
"""Of a server whose script has an `exposition`."""


class Scripted(Engine):
    """`fake_server.py` as the Protocol `launcher.engines.base.Engine`."""

    name = "scripted"
    title = "the scripted engine"
    distributions = ("pytest",)

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Whatever has pytest will do."""
        if "pytest" not in distributions:
            return Installed(python, python_version, None, distributions)
        return Installed(python, python_version, self.release("1.0"), distributions)

    def release(self, version: str) -> Release:
        """Any."""
        return Release(version, "1.0")

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """One port, and a queue's where the profile names it."""
        needs = [PortNeed("api", shown_as="API")]
        if "engine-worker-queue" in profile.ports:
            needs.append(PortNeed("engine-worker-queue", key_bits=8, address="0.0.0.0"))
        return tuple(needs)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Nothing is wrong."""
        return []

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[str]:
        """What a probe needs."""
        return frozenset({"health", "models", "chat"})

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan."""
        arguments: JsonDict = dict(profile.engine_args)
        script = {"model": profile.model, **arguments.get("script", {})}
        port = context.ports["api"]
        flags = (Flag(str(port)), Flag(json.dumps(script)))
        plain, secrets = split_env(profile)
        if profile.api_key is not None:
            secrets["FAKE_KEY"] = profile.api_key.text()
        settings = arguments.get("settings", {})
        has_exposition = arguments.get("script", {}).get("exposition") is not None
        python = context.python if arguments.get("use-python") else sys.executable
        return LaunchPlan(
            argv=(python, "-I", "-S", str(SERVER), *(f.flag for f in flags)),
            flags=flags,
            env=(*common_env(profile, context), EnvVar("SPT_NOENV", "1"), *plain),
            secrets=secrets,
            ports=tuple(PortUse(n, p, profile.host) for n, p in context.ports.items()),
            served_model=profile.model,
            log_sources=(LogSource("engine"), LogSource("worker", "worker.log*")),
            phases=PHASES,
            phase_rules=RULES,
            failure_rules=FAILURES,
            readiness=Readiness(
                address=profile.host,
                model=profile.model,
                completion={"model": profile.model, "messages": [], "max_tokens": 4},
                settings_path="/settings" if settings else None,
                settings=tuple(SettingCheck(k, v, k) for k, v in settings.items()),
                auth_secret="FAKE_KEY" if profile.api_key else None,
                probe_timeout=profile.health.probe_timeout,
            ),
            stop=StopPolicy(
                loading=(StopStage("SIGTERM", "main", profile.stop.grace),),
                ready=(StopStage("SIGTERM", "main", profile.stop.drain + profile.stop.grace),),
                drain=profile.stop.drain,
            ),
            leftovers=Leftovers(
                shm=tuple(arguments.get("shm", ())),
                queues=tuple(FtokKey(path, number) for path, number in arguments.get("queue", ())),
                temporary=tuple(arguments.get("temporary", ())),
            ),
            vital=tuple(arguments.get("vital", ())),
            told_to_stop=(r"^ASKED TO STOP BY (?P<signal>\w+)$",),
            figures=FIGURES if has_exposition else None,
            **common_parts(profile, context, TELLING if has_exposition else LivenessPolicy()),
        )


ENGINE = Scripted()


@contextmanager
def registered(folder: Path) -> Iterator[str]:
    """A PYTHONPATH on which the engine is installed, by an entry point as a third party's is."""
    info = folder / "scripted_engine-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ernie_deploy.engines]\nscripted = tests.support.scripted_engine:ENGINE\n"
    )
    yield os.pathsep.join((str(ROOT), str(folder)))
