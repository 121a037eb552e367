"""What an engine is: knowledge of one kind of server, and nothing that runs.

An engine turns a profile into a launch plan by a pure function and declares what its server
promises. Starting, watching and stopping are the keeper's; asking the machine is `host`'s.
Everything that is said of one engine only is said here: no other room compares an engine's name.
Third parties register an object of this Protocol under the entry-point group
`ernie_deploy.engines`; `docs/engines.md` has an example. A class that inherits from `Engine` gets
the answers of an engine that has nothing to say, and writes only what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from launcher.engines.release import Installed, Release
from launcher.errors import Problem
from launcher.json_values import JsonObject
from launcher.profile.model import Profile

if TYPE_CHECKING:
    from launcher.engines.doctor_checks import Check, Needs
    from launcher.host.gpus import GpuReport
    from launcher.plan.memory import Ask, Costs, Shape
    from launcher.plan.model import LaunchPlan

__all__ = [
    "CAPABILITIES",
    "Capability",
    "Engine",
    "GroupFacts",
    "GroupPart",
    "Installed",
    "MemoryFacts",
    "PlanContext",
    "PortNeed",
    "Program",
    "Question",
    "Release",
    "Signature",
]

Capability = str
"""A promise of a server, used by the smoke checks: see `CAPABILITIES`."""

CAPABILITIES: Mapping[Capability, str] = {
    "health": "GET /health answers 200 when the server can work",
    "models": "GET /v1/models lists the served model",
    "chat": "POST /v1/chat/completions",
    "completions": "POST /v1/completions",
    "stream": "server-sent events on chat completions",
    "stream-done": "a stream ends with `data: [DONE]`",
    "stream-usage": "stream_options.include_usage gives a last chunk with usage",
    "usage": "answers carry usage that adds up",
    "reasoning": "reasoning is split from the answer",
    "thinking-switch": "chat_template_kwargs.enable_thinking false turns reasoning off",
    "tools": "tool_choice auto returns tool_calls",
    "tools-stream": "the same in a stream",
    "tools-required": "tool_choice required is enforced",
    "tools-named": "a named tool_choice is enforced",
    "tools-none": "tool_choice none is obeyed",
    "tools-parallel": "several calls in one answer",
    "json-mode": "response_format json_object is enforced",
    "json-schema": "response_format json_schema is enforced",
    "logprobs": "token log-probabilities",
    "stop": "stop strings are honoured",
    "max-tokens": "max_tokens is honoured with finish_reason length",
    "seed": "the same seed gives the same answer",
    "n": "n > 1 gives n choices",
    "penalties": "presence and frequency penalties are accepted",
    "bad-request-4xx": "a client's error is answered with a 4xx",
    "context-limit-error": "a prompt over the limit is answered with an error",
    "unknown-model-error": "an unknown model name is answered with an error",
    "metrics": "Prometheus metrics",
    "auth": "an API key is enforced under /v1",
    "settings": "the server tells its effective settings",
    "anthropic": "POST /v1/messages in Anthropic's dialect",
    "count-tokens": "POST /v1/messages/count_tokens",
    "vision": "pictures in a message are seen",
    "vision-several": "several pictures in a request",
    "video": "a video in a message is seen",
    "media-guard": "image URLs are fetched from allowed hosts only",
    "skill-system-prompt": "the model obeys a system prompt",
    "skill-memory": "the model remembers earlier turns",
    "skill-echo": "the model repeats what it is told to",
    "skill-count": "the model counts",
    "skill-needle": "the model finds a fact in a long prompt",
    "skill-tool-restraint": "the model calls no tool where none is needed",
    "skill-tool-result": "the model uses a tool's result",
    "skill-tool-selection": "the model picks the right tool of several",
    "skill-parallel-tools": "the model makes several calls in one answer",
    "skill-chinese": "the model answers Chinese in Chinese",
    "skill-emoji": "the model writes emoji",
}


@dataclass(frozen=True)
class PortNeed:
    """A port the engine wants.

    `default` is its number where the profile does not say. `key_bits`: how many low bits of the
    number the key of a System V queue holds, 0 without such a queue. `span`: how many
    consecutive numbers are used. `address`: where the engine binds, None for the profile's host.
    `socket`: path of the Unix socket that listens instead of the port, with `{port}` for the
    number.
    """

    name: str
    default: int | str = "auto"
    key_bits: int = 0
    span: int = 1
    address: str | None = None
    shown_as: str = ""
    socket: str | None = None

    @property
    def unique_low_byte(self) -> bool:
        """True where the number modulo 256 must be unique on the host."""
        return self.key_bits == 8


@dataclass(frozen=True)
class PlanContext:
    """What a plan needs beside the profile: decisions already taken, facts already asked.

    `ports` holds a number for each port the engine named. Folders need not exist yet.
    """

    python: str
    release: Release
    ports: Mapping[str, int]
    log_folder: Path
    temporary_folder: Path
    cpu_count: int = 1
    distributions: Mapping[str, str] = field(default_factory=dict)


class Question(Protocol):
    """What an installed release is asked, once per version, before a profile can be judged.

    The engine knows the words and reads the answer; who may start processes asks.
    """

    @property
    def arguments(self) -> Sequence[str]:
        """Arguments of the interpreter that print the answer."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables it is asked with, beside those that any program needs."""
        ...

    def cached_answer(self, version: str, cache_dir: Path) -> JsonObject | None:
        """The answer of this version where it is known already."""
        ...

    def parse(self, output: str) -> JsonObject:
        """The answer in what was printed.

        Raises:
            ValueError: there is none.
        """
        ...

    def remember(self, answer: JsonObject, cache_dir: Path) -> object:
        """Keep the answer; its `version` says of which."""
        ...


class MemoryFacts(Protocol):
    """What the memory plan needs of an engine."""

    def costs(self) -> Costs:
        """What the engine needs beside weights and KV cache."""
        ...

    def ask(self, profile: Profile, release: Release | None) -> Ask:
        """What the profile asks for, with the release's own defaults."""
        ...

    def category(self, name: str, dimensions: int) -> str:
        """The kind of a tensor of a checkpoint, one of those that `costs` knows."""
        ...

    def shape_of_table(self, model: str) -> Shape | None:
        """The shape of a model that is not here, None where nothing is known of it."""
        ...

    def reported_blocks(self, lines: Iterable[str]) -> int | None:
        """The KV blocks that a started server says it has."""
        ...


@dataclass(frozen=True)
class GroupPart:
    """One kind of instance in a group: `count` instances with `gpus` devices each."""

    role: str
    count: int
    gpus: int


class GroupFacts(Protocol):
    """How an engine serves by groups: a router, and instances of several roles behind it.

    `unserved` are the statuses by which a router says that no instance could take a request.
    """

    unserved: tuple[int, ...]

    def parts(self, profile: Profile) -> tuple[GroupPart, ...]:
        """The instances behind the router, in the order in which they get their GPUs."""
        ...

    def part(self, profile: Profile, role: str, router: str) -> Profile:
        """The profile of an instance of this role that registers with `router` (`HOST:PORT`)."""
        ...

    def program(self, profile: Profile, release: Release) -> tuple[str, bool]:
        """The program on PATH that the router may be, and whether it has to be; "": none."""
        ...

    def router(self, profile: Profile, release: Release, program: str | None) -> Profile:
        """The profile of the router; `program` is its path where it is one."""
        ...


@dataclass(frozen=True)
class Program:
    r"""An engine that is a program and needs no Python interpreter.

    It is looked for by `name` on PATH and in `folders`, then in the environments of `engine
    install` at `path`, a glob below an environment's folder. With `arguments` it prints its
    version, which `pattern` reads as group `version`. `package` is the distribution's package that
    has it.
    """

    name: str
    arguments: tuple[str, ...]
    pattern: str
    package: str
    path: str
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """How a running server of an unknown engine is recognised by its answers.

    `owned_by` is what its model list says in lower case, `metrics` the prefix of its metrics'
    names, `route` a route that only its OpenAPI document has. `version_path` answers
    `{"version": ...}`; None: no route tells the release.
    """

    owned_by: str | None = None
    metrics: str | None = None
    route: str | None = None
    version_path: str | None = None


class Engine(Protocol):
    """One kind of server; see the module's docstring.

    The members before `installed` may stay as they are here, and so may those after `plan`.
    """

    name: str
    """What `engine:` in a profile calls it."""
    title: str
    """What a sentence calls it."""
    lines: tuple[str, ...] = ()
    """Release lines whose facts are known, oldest first (`("2.0", ..., "2.4")`); empty: any."""
    distributions: tuple[str, ...] = ()
    """Distributions to look for in an interpreter, the engine's own names first."""
    program: Program | None = None
    """The program that is the server; None: it runs in a Python interpreter. `Installed.python` is
    then the program's path, and `installed` is called with the version by the program's name."""
    question: Question | None = None
    """What an installed release must be asked; None: its facts are known without."""
    local: bool = True
    """False: nothing of it runs on this machine, and `up` refuses its profiles."""
    sized: bool = True
    """It takes `tensor-parallel-size`, `max-model-len` and `max-num-seqs`."""
    data: Path | None = None
    """A folder with `failures.json` (the rules of `diagnose`, see `launcher/engines/rules.py`) and
    `deviations.json` (what a release does wrong, for `smoke`); each may be absent."""
    pulled_as: Literal["folder", "cache"] | None = None
    """How a model that `model pull` downloaded is given to it: as a folder, with the hub id as
    `served-model-name`; or by the hub id, with a cache of the Hugging Face hub (it has no other
    name for its model). None: it is not."""
    signature: Signature = Signature()
    """How `smoke URL` recognises a server of it."""
    answers_of: str = ""
    """The engine whose answers it passes on (a router); empty: they are its own."""
    groups: GroupFacts | None = None
    """For `service.group`; None: a replica is one instance."""
    nodes_option: str | None = None
    """Option with the addresses of all machines of one server, separated by commas, the one that
    answers requests first; None: a server runs on one machine."""

    @property
    def memory(self) -> MemoryFacts | None:
        """For `plan --memory`, `up`'s prediction and doctor; None: no figures are known."""
        return None

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge what an interpreter has; pure, the caller asked the interpreter."""
        ...

    def release(self, version: str) -> Release:
        """The release a version belongs to.

        Raises:
            PreconditionError: the version is not supported; says which are.
        """
        ...

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """Every port the server will listen on, `api` first."""
        ...

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile for this release, at the profile's lines.

        With `release` None: what is wrong for every release that the profile's `engine-version`
        admits.
        """
        ...

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan; pure. Settings, phases, rules, liveness and leftovers are fields of it.

        Raises:
            ProfileError: `validate` has problems.
        """
        ...

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What the server will promise when it runs this profile."""
        return frozenset()

    def check_machine(
        self, profile: Profile, installed: Installed, query: Callable[[], GpuReport]
    ) -> list[Problem]:
        """What ends a load on this machine and not on another; `query` asks for its GPUs."""
        return []

    def notes(self, profile: Profile, release: Release | None) -> tuple[str, ...]:
        """What `validate` should tell although nothing is wrong: names that are translated."""
        return ()

    def diff(self, profile: Profile, old: str, new: str) -> JsonObject | None:
        """What changes for the profile between two releases; None: they cannot be compared.

        Raises:
            PreconditionError: one of them is not known.
        """
        return None

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """What the server needs of the machine, for the doctor's checks of every engine."""
        from launcher.engines.doctor_checks import Needs

        return Needs()

    def doctor_checks(self) -> tuple[Check, ...]:
        """Checks that make sense for this engine only."""
        return ()

    def environment_names(self, has_gpu: Callable[[], bool]) -> tuple[str, ...]:
        """Names under which `engine install` makes its environments, best for this machine first.

        `has_gpu` asks the driver, so it is called only where the answer matters.
        """
        return (self.name,)
