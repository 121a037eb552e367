"""What is wrong with keys together: missing ones, doubled ones, combinations that cannot work.

What depends on the engine (which flags it has, how it spells them) is checked by the engine.
"""

from __future__ import annotations

from launcher.errors import Problem
from launcher.json_values import JsonObject, is_list, number_at, object_at, text_at
from launcher.profile.checker import Checker
from launcher.profile.model import Origin
from launcher.profile.schema import flag_names

MOST_REPLICAS = 48
"""Replicas of a service: old and new ones together keep numbers of two digits."""
LONGEST_SERVICE_NAME = 38
"""Characters: 48 of an instance's name less `-`, six hex digits, `-` and two digits."""
LONGEST_GROUP_NAME = 28
"""The same where a replica is a group: less `-prefill` and two digits."""
MOST_PARTS = 64
"""Instances of one kind in a group, which have a GPU each at least."""
LEAST_MEMORY = 64 * 1024 * 1024
"""Bytes; an interpreter that imports an engine's libraries takes more."""


def check(checker: Checker, source: str) -> None:
    """Say what is wrong between keys; `source` is the file that should have the missing ones."""
    start = Origin(source, 1, 1)
    _required(checker, start)
    _doubled(checker)
    _timeouts(checker)
    _liveness(checker)
    _delays(checker)
    _memory(checker)
    _service(checker)


def notes(values: JsonObject, checker: Checker) -> tuple[Problem, ...]:
    """Keys that are right and change nothing, so that none is ignored in silence."""
    if text_at(values, "restart", "policy") == "never":
        cause, remedy = "`restart.policy` is `never`", "write `policy: on-failure`"
    elif number_at(values, "restart", "max-restarts") == 0:
        cause, remedy = "`restart.max-restarts` is 0", "write `max-restarts: 5`"
    else:
        return ()
    all_notes = []
    for key in ("max-restarts", "window", "first-delay", "max-delay", "on-stall"):
        origin = checker.origins.get(f"restart.{key}")
        if origin is None or origin.source == "default" or f"restart.{key}` is" in cause:
            continue
        if (key, text_at(values, "restart", key)) == ("on-stall", "report"):
            continue  # it says what happens anyway
        message = f"restart.{key}: changes nothing while {cause}"
        all_notes.append(Problem("no-effect", message, origin.text(), remedy))
    return tuple(all_notes)


def _required(checker: Checker, start: Origin) -> None:
    remedies = {
        "name": "add `name: ...`, or give --name",
        "engine": "add `engine: fastdeploy` (or vllm, transformers, hosted)",
        "model": "add `model: OWNER/NAME` or a folder such as `model: ./weights`",
        "base-url": "add `base-url: https://...`",
    }
    needed = ["name", "engine", "base-url" if checker.engine == "hosted" else "model"]
    for key in needed:
        # A key that is there and wrong has been said already.
        if key not in checker.values and key not in checker.origins:
            checker.say("missing-key", key, "is required", start, remedies[key])


def _doubled(checker: Checker) -> None:
    names = flag_names()
    for key in object_at(checker.values, "engine-args"):
        name = key.lstrip("-").replace("_", "-")
        path = f"engine-args.{key}"
        if name in names and name in checker.origins:
            first = checker.origins[name].text()
            checker.say(
                "duplicate-setting",
                path,
                f"`{name}` stands at the top too, at {first}",
                checker.origins[path],
                f"remove one of them; `{name}` at the top is understood by every engine",
            )


def _timeouts(checker: Checker) -> None:
    total = number_at(checker.values, "health", "startup-timeout")
    for key in ("no-progress-timeout", "probe-timeout"):
        part = number_at(checker.values, "health", key)
        if part is not None and total is not None and part > total:
            path = f"health.{key}"
            checker.say(
                "impossible-combination",
                path,
                f"{part} s is longer than health.startup-timeout, {total} s, and would never pass",
                checker.origins[path],
                "make it the shorter one",
            )


def _liveness(checker: Checker) -> None:
    """Times that could never tell a server that works from one that does not."""
    section = {
        key: number_at(checker.values, "liveness", key)
        for key in (
            "interval", "stall-after", "compute-stall-after", "canary-interval", "canary-deadline"
        )
    }  # fmt: skip
    for key, value in section.items():
        if value == 0:
            _refuse(checker, key, "in 0 s nothing can be seen", "give a time above 0")
    longer = (
        ("stall-after", "interval", "a stall is seen by looking at it twice", 2.0),
        ("compute-stall-after", "stall-after", "computing is a reason to wait longer", 1.0),
        ("stall-after", "canary-deadline", "a stall would be called before the answer is due", 1.0),
    )
    for key, longer_key, why, factor in longer:
        value, least = section[key], section[longer_key]
        if value and least and value < factor * least:
            bound = f"{'twice ' if factor > 1 else ''}liveness.{longer_key}, {factor * least:g} s"
            _refuse(
                checker, key, f"{value:g} s is less than {bound}: {why}", f"raise liveness.{key}"
            )


def _refuse(checker: Checker, key: str, message: str, remedy: str) -> None:
    path = f"liveness.{key}"
    checker.say("impossible-combination", path, message, checker.origins[path], remedy)


def _memory(checker: Checker) -> None:
    most = number_at(checker.values, "memory-max")
    if most is not None and most < LEAST_MEMORY:
        checker.say(
            "impossible-combination",
            "memory-max",
            f"{most} bytes are too few for any engine to start",
            checker.origins["memory-max"],
            "write a size with its unit, such as 64GiB",
        )


def _delays(checker: Checker) -> None:
    first, longest = (
        number_at(checker.values, "restart", key) for key in ("first-delay", "max-delay")
    )
    if first is not None and longest is not None and first > longest:
        path = "restart.first-delay"
        checker.say(
            "impossible-combination",
            path,
            f"{first} s is longer than restart.max-delay, {longest} s",
            checker.origins[path],
            "make it the shorter one",
        )


def _service(checker: Checker) -> None:
    """What replicas cannot have: the same port twice, or one set of devices for all."""
    section = object_at(checker.values, "service")
    if "service" not in checker.values:
        return
    door = object_at(section, "front-door")
    for key, partner in (("certificate", "key"), ("key", "certificate")):
        if key in door and partner not in door:
            path = f"service.front-door.{key}"
            message = f"a TLS front door needs `{partner}` too"
            checker.say("missing-key", path, message, checker.origins[path], f"add `{partner}:`")
    for name, number in object_at(checker.values, "ports").items():
        path = f"ports.{name}"
        if name != "api" and number != "auto":
            checker.say(
                "impossible-combination", path, "every replica would take the same port",
                checker.origins.get(path, checker.origins["ports"]),
                "write `auto`, or leave it out",
            )  # fmt: skip
    sets, replicas = section.get("gpus"), number_at(section, "replicas") or 1
    if is_list(sets) and len(sets) < replicas:
        checker.say(
            "impossible-combination", "service.gpus",
            f"{len(sets)} sets of GPUs are too few for {replicas} replicas",
            checker.origins["service.gpus"], "give one set for each replica",
        )  # fmt: skip
    if replicas > MOST_REPLICAS:
        checker.say(
            "impossible-combination", "service.replicas",
            f"at most {MOST_REPLICAS} can be on a machine",
            checker.origins["service.replicas"],
            "use several machines, each with its own service",
        )  # fmt: skip
    grouped = "group" in section
    longest = LONGEST_GROUP_NAME if grouped else LONGEST_SERVICE_NAME
    if len(text_at(checker.values, "name")) > longest:
        kind, parts = ("service of groups", "instances") if grouped else ("service", "replicas")
        checker.say(
            "bad-name", "name",
            f"the name of a {kind} has at most {longest} characters, so that those of its {parts}"
            " have at most 48", checker.origins["name"], "choose a shorter one",
        )  # fmt: skip
    for role in ("prefill", "decode"):
        count = number_at(section, "group", role, "replicas") or 1
        if count > MOST_PARTS:
            path = f"service.group.{role}.replicas"
            checker.say(
                "impossible-combination", path, f"at most {MOST_PARTS} can be in a group",
                checker.origins[path], "use more groups: `service.replicas`",
            )  # fmt: skip
