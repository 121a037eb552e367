"""Scenarios: what is asked, and by how many at a time. Read from YAML, checked, changed by options.

`launcher/bench/scenarios/` has those that ship; a file of one's own has the same keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import yaml

from launcher import files
from launcher.bench.result import ScenarioFacts
from launcher.codec import DecodeError, decode, encode_object, written
from launcher.errors import Problem, UsageError
from launcher.json_values import JsonObject, JsonValue, is_list
from launcher.nearest import did_you_mean
from launcher.profile import scalars

FOLDER = Path(__file__).with_name("scenarios")
DEFAULT = "chat"
MOST_LEVELS = 20
MOST_AT_ONCE = 10_000
MOST_REQUESTS = 1_000_000
MOST_TOKENS = 2_000_000
LONGEST = 24 * 3600.0
PER_SEAT = 4
"""Requests of a closed level for each at a time, at least: fewer measure only the start."""


@dataclass(frozen=True)
class Prompt:
    """The questions. Sizes are tokens of the server's own count; `context_share` is of its context.

    `text` are templates instead of generated words; `{city}` and `{number}` differ between them.
    `shared_tokens` lie in a system prompt, of which there are `prefixes` different ones.
    """

    tokens: int = 200
    context_share: float | None = field(default=None, metadata=written("context-share"))
    spread: float = 0.0
    shared_tokens: int = field(default=0, metadata=written("shared-tokens"))
    prefixes: int = 1
    distinct: int = 64
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The answers: their longest length in tokens, and whether each shall have exactly it."""

    max_tokens: int = field(default=128, metadata=written("max-tokens"))
    exact: bool = False


@dataclass(frozen=True)
class Load:
    """The levels: `closed` requests at a time, `open` requests per second; `duration` in seconds.

    A level ends after `requests` (at least `PER_SEAT` for each at a time) or after `duration`.
    """

    closed: tuple[int, ...] = ()
    open: tuple[float, ...] = ()
    arrivals: Literal["poisson", "constant"] = "poisson"
    requests: int = 40
    duration: float = 60.0
    repetitions: int = 3
    warm_up: int = field(default=4, metadata=written("warm-up"))

    def levels(self) -> list[tuple[Literal["closed", "open"], float]]:
        """All levels, rising, closed ones first."""
        return [("closed", float(one)) for one in self.closed] + [
            ("open", one) for one in self.open
        ]

    def requests_of(self, loop: str, value: float) -> int:
        """Requests of one level in one repetition."""
        return max(self.requests, PER_SEAT * int(value)) if loop == "closed" else self.requests


@dataclass(frozen=True)
class StopRules:
    """When a level is called overload, so that no higher one follows: a share and seconds."""

    error_rate: float = field(default=0.1, metadata=written("error-rate"))
    ttft_p90: float = field(default=60.0, metadata=written("ttft-p90"))


@dataclass(frozen=True)
class Scenario:
    """One scenario; `request` is merged into the body of every request."""

    name: str
    title: str = ""
    prompt: Prompt = Prompt()
    answer: Answer = Answer()
    load: Load = Load()
    stop: StopRules = StopRules()
    tools: bool = False
    request: JsonObject = field(default_factory=dict)
    seed: int = 1

    def facts(self, path: str) -> ScenarioFacts:
        """The scenario as a result keeps it."""
        document = encode_object(self)
        digest = hashlib.sha256(repr(document).encode()).hexdigest()[:16]
        return ScenarioFacts(self.name, self.title or self.name, path, digest, document)


def shipped() -> list[str]:
    """The names of the scenarios that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_scenario(text: str | None) -> tuple[Scenario, str]:
    """The scenario of `--scenario`, a shipped name or a file, and its path.

    Raises:
        UsageError: `bad-scenario`: there is none, or a value in it is wrong.
    """
    name = text or DEFAULT
    path = FOLDER / f"{name}.yaml" if name in shipped() else Path(name)
    if path.parent != FOLDER and "/" not in name and not name.endswith((".yaml", ".yml")):
        meant = did_you_mean(name, shipped())
        raise _bad_scenario(
            name, f"no scenario is called {name!r}{meant}", f"one of: {_list(shipped())}"
        )
    try:
        content = files.read_text(path)
        document = yaml.safe_load(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise _bad_scenario(str(path), f"it cannot be read: {_first_line(error)}") from None
    return parse_scenario(document, str(path)), str(path)


def parse_scenario(document: object, where: str) -> Scenario:
    """The scenario of a YAML document.

    Raises:
        UsageError: `bad-scenario`, with the key's path.
    """
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise _bad_scenario(
            where, "it is not a map of keys", "as `ernie-deploy bench --show chat` prints"
        )
    try:
        scenario = decode(Scenario, _prepared(document), "")
    except (DecodeError, scalars.ScalarError) as error:
        raise _bad_scenario(where, str(error)) from None
    check_scenario(scenario, where)
    return scenario


def check_scenario(scenario: Scenario, where: str) -> None:
    """Refuse values out of range.

    Raises:
        UsageError: `bad-scenario`.
    """
    load, prompt = scenario.load, scenario.prompt
    levels = load.levels()
    checks: Sequence[tuple[bool, str]] = (
        (bool(levels), "load: needs `closed: [1, 2, 4]` or `open: [0.5, 1]`"),
        (len(levels) <= MOST_LEVELS, f"load: more than {MOST_LEVELS} levels"),
        (
            all(0 < value <= MOST_AT_ONCE for _, value in levels),
            f"load: a level is between 0 and {MOST_AT_ONCE}",
        ),
        (len(set(levels)) == len(levels), "load: a level is there twice"),
        (1 <= load.requests <= MOST_REQUESTS, f"load.requests: 1 to {MOST_REQUESTS}"),
        (1 <= load.duration <= LONGEST, "load.duration: 1s to 24h"),
        (1 <= load.repetitions <= 100, "load.repetitions: 1 to 100"),
        (0 <= load.warm_up <= MOST_REQUESTS, "load.warm-up: 0 or more"),
        (1 <= prompt.tokens <= MOST_TOKENS, f"prompt.tokens: 1 to {MOST_TOKENS}"),
        (0 <= prompt.shared_tokens <= MOST_TOKENS, f"prompt.shared-tokens: 0 to {MOST_TOKENS}"),
        (
            prompt.context_share is None or 0 < prompt.context_share < 1,
            "prompt.context-share: between 0 and 1",
        ),
        (0 <= prompt.spread < 1, "prompt.spread: 0 or more, less than 1"),
        (1 <= prompt.distinct <= 10_000, "prompt.distinct: 1 to 10000"),
        (1 <= prompt.prefixes <= prompt.distinct, "prompt.prefixes: 1 to `distinct`"),
        (1 <= scenario.answer.max_tokens <= MOST_TOKENS, f"answer.max-tokens: 1 to {MOST_TOKENS}"),
        (0 < scenario.stop.error_rate <= 1, "stop.error-rate: above 0, at most 100%"),
        (0 < scenario.stop.ttft_p90 <= LONGEST, "stop.ttft-p90: above 0"),
    )
    for is_right, message in checks:
        if not is_right:
            raise _bad_scenario(where, message)
    reserved = sorted({"model", "messages", "stream", "stream_options"} & set(scenario.request))
    if reserved:
        raise _bad_scenario(where, f"request.{reserved[0]}: the benchmark sets it itself")


def with_load(scenario: Scenario, **changes: object) -> Scenario:
    """The scenario with other values of its load; None leaves one as it is.

    `closed` or `open` alone takes the place of both.
    """
    kept = {name: value for name, value in changes.items() if value not in (None, ())}
    if ("closed" in kept) != ("open" in kept):
        kept = {"closed": (), "open": (), **kept}
    load = replace(scenario.load, **kept)  # type: ignore[arg-type]
    changed = replace(scenario, load=load)
    check_scenario(changed, "the command line")
    return changed


def _prepared(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The document with durations as seconds and percentages as shares."""
    prepared: dict[str, JsonValue] = dict(document)
    for section, key, read in (
        ("load", "duration", _seconds), ("stop", "ttft-p90", _seconds),
        ("stop", "error-rate", _share),
    ):  # fmt: skip
        part = prepared.get(section)
        if isinstance(part, Mapping) and key in part:
            prepared[section] = {**part, key: read(part[key], f"{section}.{key}")}
    prompt = prepared.get("prompt")
    if isinstance(prompt, Mapping) and isinstance(prompt.get("text"), str):
        prepared["prompt"] = {**prompt, "text": [prompt["text"]]}
    for section in ("load",):
        part = prepared.get(section)
        for key in ("closed", "open"):
            value = part.get(key) if isinstance(part, Mapping) else None
            if value is not None and not is_list(value):
                prepared[section] = {**prepared[section], key: [value]}  # type: ignore[dict-item]
    return prepared


def _seconds(value: JsonValue, at: str) -> JsonValue:
    if isinstance(value, str):
        try:
            return scalars.seconds(value)
        except scalars.ScalarError as error:
            raise DecodeError(f"{at}: {error}") from None
    return value


def _share(value: JsonValue, at: str) -> JsonValue:
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            raise DecodeError(f"{at}: expected a percentage, got {value!r}") from None
    return value


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _bad_scenario(where: str, reason: str, remedy: str | None = None) -> UsageError:
    text = f"the scenario cannot be used: {reason}"
    return UsageError(Problem("bad-scenario", text, where, remedy))
