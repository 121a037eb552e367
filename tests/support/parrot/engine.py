"""The engine object of the parrot server."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from launcher.engines.base import (
    Capability,
    Engine,
    Installed,
    PlanContext,
    PortNeed,
    Release,
    Signature,
)
from launcher.engines.doctor_checks import Check, Needs, Outcome, Subject, fail, ok
from launcher.engines.plan_parts import common_env, common_parts
from launcher.engines.rules import book_of, failure_rules, noise
from launcher.errors import Problem, ProfileError
from launcher.json_values import JsonObject
from launcher.plan.memory import Ask, Costs, Shape
from launcher.plan.model import Flag, LaunchPlan, Phase, PhaseRule, PortUse, Readiness
from launcher.profile.model import Profile
from tests.support import ROOT

FOLDER = Path(__file__).resolve().parent
MIB = 1024**2


class Memory:
    """The memory plan of the parrot, as `launcher.engines.base.MemoryFacts`."""

    def costs(self) -> Costs:
        """Nothing but weights and KV cache."""
        return Costs({"none": {"*": 2.0}}, (), 100 * MIB, 0, 0, 4.0, 0, 10_000, 100 * MIB)

    def ask(self, profile: Profile, release: Release | None) -> Ask:
        """The profile's own numbers."""
        return Ask(1, "none", profile.max_model_len or 2048, profile.max_num_seqs or 8, 2048)

    def category(self, name: str, dimensions: int) -> str:
        """All weights are alike."""
        return "dense"

    def shape_of_table(self, model: str) -> Shape | None:
        """One published model."""
        if model != "zoo/grey-parrot":
            return None
        return Shape(
            model, {"dense": 10_000_000}, 4, 8, 8, 64, 512, 32_000, 4096, 20 * MIB, 20 * MIB, "zoo"
        )

    def reported_blocks(self, lines: Iterable[str]) -> int | None:
        """The line that the server prints."""
        sizes = [line.split()[-2] for line in lines if "KV cache of" in line]
        return int(sizes[-1]) if sizes else None


class Parrot(Engine):
    """A server that repeats what it is told."""

    name = "parrot"
    title = "the parrot"
    lines = ("1.0", "1.1")
    distributions = ("pytest",)
    data = FOLDER / "data"
    signature = Signature(owned_by="parrot")

    @property
    def memory(self) -> Memory:
        """The figures of one model."""
        return Memory()

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Any interpreter with pytest."""
        release = Release("1.1", "1.1") if "pytest" in distributions else None
        return Installed(python, python_version, release, distributions)

    def release(self, version: str) -> Release:
        """Any."""
        return Release(version, ".".join(version.split(".")[:2]))

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """The API's."""
        return (PortNeed("api", shown_as="API"),)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """`perch` is the only flag."""
        return [
            Problem("unknown-flag", f"a parrot has no {key}", profile.where(f"engine-args.{key}"))
            for key in profile.engine_args
            if key != "perch"
        ]

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan."""
        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        port = context.ports["api"]
        rules = book_of(self.name, self.data)
        flags = (
            Flag("--port", (str(port),), "the API's port"),
            Flag("--model", (profile.model,), "the name for clients"),
            *(Flag(f"--{key}", (str(value),)) for key, value in profile.engine_args.items()),
        )
        arguments = [word for flag in flags for word in (flag.flag, *flag.values)]
        return LaunchPlan(
            argv=(context.python, "-I", str(FOLDER / "server.py"), *arguments),
            flags=flags,
            env=common_env(profile, context),
            ports=(PortUse("api", port, profile.host, "API"),),
            served_model=profile.model,
            phases=(Phase("hatch", "hatch"), Phase("grow", "grow")),
            phase_rules=(PhaseRule("grow", "KV cache of"),),
            failure_rules=failure_rules(rules),
            noise=noise(rules),
            log_rules=rules.log_rules(),
            readiness=Readiness(
                address=profile.host,
                model=profile.model,
                completion={
                    "model": profile.model,
                    "messages": [{"role": "user", "content": "Hello"}],
                    "max_tokens": 8,
                },
                settings_unknown="a parrot does not tell its settings",
            ),
            **common_parts(profile, context),
        )

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What it can do."""
        return frozenset({"health", "models", "chat", "usage", "unknown-model-error"})

    def notes(self, profile: Profile, release: Release | None) -> tuple[str, ...]:
        """A remark of `validate`."""
        return ("parrots need no GPU",)

    def diff(self, profile: Profile, old: str, new: str) -> JsonObject | None:
        """Nothing ever changes."""
        return {"old": old, "new": new, "flags": [], "notes": ["a parrot is a parrot"]}

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """No GPU, and a second to start."""
        return Needs(start=1.0, asks_key=profile.api_key is not None)

    def doctor_checks(self) -> tuple[Check, ...]:
        """A perch that is wide enough."""
        return (Check("perch", "the perch is wide enough", "parrots fall off", _perch, "software"),)


def _perch(subject: Subject) -> Outcome | None:
    width = int(str(subject.argument("perch") or 5))
    return ok(f"{width} cm") if width >= 3 else fail(f"{width} cm", "set `perch: 5`")


ENGINE = Parrot()


@contextmanager
def registered(folder: Path) -> Iterator[str]:
    """A PYTHONPATH on which the engine is installed as a third party's package is."""
    info = folder / "parrot-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ernie_deploy.engines]\nparrot = tests.support.parrot.engine:ENGINE\n"
    )
    yield os.pathsep.join((str(ROOT), str(folder)))
