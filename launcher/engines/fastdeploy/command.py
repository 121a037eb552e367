"""FastDeploy's command line for a profile: every flag with the reason why it is there."""

from __future__ import annotations

from launcher.engines.base import PlanContext
from launcher.engines.fastdeploy import vocabulary
from launcher.engines.fastdeploy.catalogue import catalogue_key, table
from launcher.engines.fastdeploy.neutral import KEYS
from launcher.engines.fastdeploy.ports import consecutive, ports
from launcher.engines.fastdeploy.release_data import at_least
from launcher.engines.options import canonical
from launcher.engines.plan_parts import option_flags
from launcher.json_values import JsonValue
from launcher.plan.model import Flag
from launcher.profile.model import Profile

MODULE = ("-m", "fastdeploy.entrypoints.openai.api_server")

_PORT_FLAGS = {
    "api": ("--port", "the API's port"),
    "metrics": ("--metrics-port", "metrics and /config-info apart from the API"),
    "engine-worker-queue": (
        "--engine-worker-queue-port",
        "it names the message queue of the tokens and must be unique on the host",
    ),
    "cache-queue": (
        "--cache-queue-port",
        "leased with the others: a port that FastDeploy picks itself can be taken meanwhile",
    ),
    "controller": ("--controller-port", "scheduler control"),
    "pd-comm": ("--pd-comm-port", "prefill and decode instances talk through it"),
    "rdma-comm": ("--rdma-comm-ports", "one RDMA port for each rank"),
}


def flags(profile: Profile, context: PlanContext) -> tuple[Flag, ...]:
    """Every flag, in the order of the command line."""
    line = catalogue_key(context.release)
    return (
        Flag("--model", (profile.model,), "the profile's model", profile.where("model"), "model"),
        Flag(
            "--host", (profile.host,), "the API's address; FastDeploy's default is every address",
            profile.where("host"), "host",
        ),
        *_ports(profile, context),
        *_top(profile, line),
        *_engine_args(profile, line),
        *_drain(profile),
    )  # fmt: skip


def _ports(profile: Profile, context: PlanContext) -> list[Flag]:
    arguments = []
    for need in ports(profile, context.release):
        flag, reason = _PORT_FLAGS[need.name]
        first = context.ports[need.name]
        listed = need.span if need.name != "engine-worker-queue" or _lists(context) else 1
        key = f"ports.{need.name}"
        origin = profile.where(key) if need.name in profile.ports else None
        arguments.append(Flag(flag, (consecutive(first, listed),), reason, origin, key))
    return arguments


def _lists(context: PlanContext) -> bool:
    # 2.0 and 2.1 take one number and count up from it by rank themselves.
    return at_least(context.release.line, "2.2")


def _top(profile: Profile, line: str) -> list[Flag]:
    arguments: list[Flag] = []
    for key, name in KEYS.options.items():
        value = profile.setting(key)
        option = table(line).get(name)
        if value is None or option is None:
            continue
        argument, reason = _translated(name, value, line, f"the profile's {key}")
        arguments += option_flags(option, argument, reason, profile.where(key), key)
    return arguments


def _engine_args(profile: Profile, line: str) -> list[Flag]:
    arguments: list[Flag] = []
    for key, value in profile.engine_args.items():
        option = table(line).get(key)
        if option is None:
            raise AssertionError(f"engine-args.{key} was not validated")
        path = f"engine-args.{key}"
        argument, reason = _translated(
            canonical(key), value, line, option.meaning or "the profile's"
        )
        arguments += option_flags(option, argument, reason, profile.where(path), path)
    return arguments


def _translated(name: str, value: JsonValue, line: str, reason: str) -> tuple[JsonValue, str]:
    kinds = {"reasoning-parser": "reasoning", "tool-call-parser": "tool"}
    if name not in kinds or not isinstance(value, str):
        return value, reason
    called = vocabulary.parser(value, kinds[name], line)
    if called is None or called == value:
        return value, reason
    if vocabulary.folds_underscores(line):
        # The release takes this spelling too: what a model card says stays as it was written.
        return value, f"{reason}; {line} calls it {called} and takes {value} as well"
    return called, f"{reason}; {line} calls it {called}"


def _drain(profile: Profile) -> list[Flag]:
    if not profile.stop.drain:
        return []
    return [
        Flag(
            "--timeout-graceful-shutdown", (str(int(profile.stop.drain)),),
            "running streams may end; FastDeploy's default cuts them at once",
            profile.where("stop.drain"), "stop.drain",
        )
    ]  # fmt: skip
