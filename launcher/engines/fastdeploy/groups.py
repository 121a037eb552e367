"""Prefill and decode on separate GPUs: the profiles of a group's instances and of its router.

Facts: scaleout.json (`splitwise`, `router_python`, `router_go`). An instance registers with its
router under the machine's own address (`get_host_ip`, config.py), where the router then asks for
`/health`: it has to listen on every address, loopback alone would never be registered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from launcher import engines
from launcher.engines.base import GroupPart, Release
from launcher.engines.common import REFERENCE, in_file_order, problem
from launcher.engines.fastdeploy.catalogue import catalogue_key
from launcher.engines.fastdeploy.release_data import at_least
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.options import canonical
from launcher.errors import Problem
from launcher.json_values import JsonObject, JsonValue, object_at
from launcher.profile.build import build
from launcher.profile.model import KEEPER_PORT, Origin, Profile
from launcher.profile.service import GroupSettings, RoleSettings

ROUTER_ENGINE = "fastdeploy-router"
ROLES = ("prefill", "decode")
SINCE = "2.4"
"""The Python router: absent from the 2.3 branch, and whether a wheel of 2.3 has `--router` varies.
"""
GO_SINCE = "2.5"
GO_PROGRAM = "fd-router"
"""In the images of 2.5.0 and later at /usr/local/bin; else built from fastdeploy/golang_router."""
SAME_PARALLEL_UNTIL = "2.6"
"""From here on the router does not compare the tensor parallel sizes of a pair."""
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - see the module's docstring
NO_ROUTER = "127.0.0.1:9"
"""An address for a profile that is judged and not started (9: discard)."""
OURS = {
    "splitwise-role": "`service.group` gives each instance its role",
    "router": "each group has a router of its own, whose address is known when it runs",
    "scheduler-name": "the group's router schedules: a scheduler over Redis would mix groups",
    "innode-prefill-ports": "instances find each other by the router",
}
"""Options that do not belong in a group's profile, and why."""
ForLine = Callable[[Profile, str], list[Problem]]


class Groups:
    """FastDeploy's groups, as the Protocol `launcher.engines.base.GroupFacts`."""

    unserved: tuple[int, ...] = (500, 502, 503)
    """Python: any exception is 500; Go: 502 and 503 (scaleout.json). An instance's own 500, for a
    bad request, looks the same: another group answers it the same way."""

    def parts(self, profile: Profile) -> tuple[GroupPart, ...]:
        """Prefill instances first, then decode instances."""
        group = settings(profile)
        return tuple(
            GroupPart(role, _role(group, role).replicas, _ranks(profile, role)) for role in ROLES
        )

    def part(self, profile: Profile, role: str, router: str) -> Profile:
        """The profile of one instance; `service` is gone from it, its name and GPUs are open."""
        section = _role(settings(profile), role)
        values = {k: v for k, v in profile.resolved.items() if k not in ("service", "gpus")}
        options = _without(object_at(values, "engine-args"), section.engine_args)
        merged: dict[str, JsonValue] = {
            **values,
            "host": EVERY_ADDRESS,
            "engine-args": {
                **options, **section.engine_args, "splitwise-role": role, "router": router,
            },
            "env": {**object_at(values, "env"), **section.env},
        }  # fmt: skip
        for key, value in (
            ("tensor-parallel-size", section.tensor_parallel_size),
            ("max-num-seqs", section.max_num_seqs),
        ):
            if value is not None:
                merged[key] = value
        part = build(merged, profile.path)
        return replace(
            part, origins=_origins(profile, role), text=profile.text, notes=profile.notes,
            hub_cache=profile.hub_cache,
        )  # fmt: skip

    def program(self, profile: Profile, release: Release) -> tuple[str, bool]:
        """`fd-router` from 2.5 on: required where the profile says `go` or has a key."""
        group = settings(profile)
        if not at_least(catalogue_key(release), GO_SINCE) or group.router == "python":
            return "", False
        return GO_PROGRAM, group.router == "go" or profile.api_key is not None

    def router(self, profile: Profile, release: Release, program: str | None) -> Profile:
        """The profile of the router: it lives as long as its group and restarts nothing else."""
        line = catalogue_key(release)
        group, service = settings(profile), profile.service
        timeout = service.front_door.response_timeout if service is not None else 1800.0
        kept = {
            key: value
            for key in (
                "name", "model", "python", "engine-version", "served-model-name", "max-model-len",
                "max-num-seqs", "api-key", "parsers", "smoke", "logs", "notify", "stop",
            )
            if (value := profile.resolved.get(key)) is not None
        }  # fmt: skip
        arguments: dict[str, JsonValue] = {
            "kind": "go" if program else "python",
            "prefill": group.prefill.replicas,
            "decode": group.decode.replicas,
            "request-timeout": timeout,
            "capabilities": sorted(self._promises(profile, release)),
        }
        if program:
            arguments["program"] = program
        plain = {k: v for k, v in profile.env.items() if not k.startswith("FD_") and _plain(v)}
        values: JsonObject = {
            **kept,
            "engine": ROUTER_ENGINE,
            "description": f"router of a group of {profile.name}",
            "host": "127.0.0.1",
            "ports": {"api": "auto", KEEPER_PORT: "auto"},
            "env": plain,
            "engine-args": arguments,
            # It is ready when the slowest of its instances is, and computes nothing meanwhile.
            "health": {
                "startup-timeout": profile.health.startup_timeout,
                "no-progress-timeout": profile.health.startup_timeout,
                "probe-timeout": profile.health.probe_timeout,
            },
            "restart": _restart(line),
            # The front door follows its verdict: what fails once is asked again at once. It does
            # no work of its own, so that no completion of ours has to wait in its queue.
            "liveness": {
                "interval": 0.5, "stall-after": 1.0, "compute-stall-after": 1.0, "canary": False,
            },
        }  # fmt: skip
        router = build(values, profile.path)
        return replace(router, origins=profile.origins, text=profile.text)

    def _promises(self, profile: Profile, release: Release) -> frozenset[str]:
        """What the decode instances promise and the router passes on."""
        engine = engines.get(profile.engine)
        capabilities = engine.capabilities(self.part(profile, "decode", NO_ROUTER), release)
        return capabilities - {"models", "metrics", "settings", "auth"}


GROUPS = Groups()


def settings(profile: Profile) -> GroupSettings:
    """The `service.group` of a profile that has one."""
    service = profile.service
    return (service.group if service is not None else None) or GroupSettings()


def is_grouped(profile: Profile) -> bool:
    """Whether a replica of the profile is a group."""
    return profile.service is not None and profile.service.group is not None


def router_kinds(line: str) -> tuple[Literal["python", "go"], ...]:
    """The routers that a release has."""
    return ("python", "go") if at_least(line, GO_SINCE) else ("python",)


def check(profile: Profile, line: str, for_line: ForLine) -> list[Problem]:
    """What is wrong with a group for release line `line`; each instance is judged by `for_line`."""
    if not at_least(line, SINCE):
        wrong = problem(profile, "service.group", "key-not-supported",
                        f"FastDeploy {line} has no router: groups are served from {SINCE} on",
                        f"remove `service.group`, or use FastDeploy {SINCE} or later")  # fmt: skip
        return in_file_order([wrong])
    problems = [*_router(profile, line), *_ours(profile), *_parallel(profile, line)]
    problems += [*_protocols(profile, line), *_devices(profile)]
    owned = {one.where for one in problems}
    for role in ROLES:
        part = GROUPS.part(profile, role, NO_ROUTER)
        problems += [one for one in for_line(part, line) if one.where not in owned]
    return in_file_order(dict.fromkeys(problems))


def _router(profile: Profile, line: str) -> list[Problem]:
    group = settings(profile)
    key = "service.group.router"
    if group.router not in ("auto", *router_kinds(line)):
        return [
            problem(profile, key, "wrong-value",
                    f"FastDeploy {line} has no router {group.router!r}: it comes with {GO_SINCE}",
                    f"write `python`, or use FastDeploy {GO_SINCE} or later")
        ]  # fmt: skip
    if profile.api_key is not None and (group.router == "python" or router_kinds(line) == (
        "python",
    )):  # fmt: skip
        return [
            problem(profile, "api-key", "impossible-combination",
                    "the Python router forwards no headers: with a key every request would be"
                    " answered with 401",
                    f"remove `api-key`, or use the Go router (`service.group.router: go`,"
                    f" FastDeploy {GO_SINCE} or later)")
        ]  # fmt: skip
    return []


def _ours(profile: Profile) -> list[Problem]:
    """Options by which instances of several groups would be mixed."""
    problems = []
    places = [("engine-args", profile.engine_args)]
    places += [
        (f"service.group.{role}.engine-args", _role(settings(profile), role).engine_args)
        for role in ROLES
    ]
    for path, arguments in places:
        for key in arguments:
            why = OURS.get(canonical(key))
            if why is not None:
                problems.append(
                    problem(profile, f"{path}.{key}", "impossible-combination",
                            f"{canonical(key)} cannot be set with `service.group`: {why}",
                            f"remove `{path}.{key}`")
                )  # fmt: skip
    return problems


def _parallel(profile: Profile, line: str) -> list[Problem]:
    if at_least(line, SAME_PARALLEL_UNTIL):
        return []
    sizes = {role: _tensor_parallel(profile, role) for role in ROLES}
    if sizes["decode"] in (1, sizes["prefill"]):
        return []
    group = settings(profile)
    role = "decode" if group.decode.tensor_parallel_size is not None else "prefill"
    return [
        problem(profile, f"service.group.{role}.tensor-parallel-size", "impossible-combination",
                f"tensor-parallel-size is {sizes['prefill']} for prefill and {sizes['decode']} for"
                f" decode: the router of {line} answers every request with 400",
                f"make them equal, or 1 for decode; FastDeploy {SAME_PARALLEL_UNTIL} and later take"
                " any")
    ]  # fmt: skip


def _protocols(profile: Profile, line: str) -> list[Problem]:
    """Both kinds need a way in common on which the KV cache goes over."""
    ways = {role: _ways(profile, role, line) for role in ROLES}
    if set(ways["prefill"]) & set(ways["decode"]):
        return []
    group = settings(profile)
    role = "prefill" if _has(group.prefill, "cache-transfer-protocol") else "decode"
    return [
        problem(profile, f"service.group.{role}.engine-args.cache-transfer-protocol",
                "impossible-combination",
                f"prefill sends the KV cache by {','.join(ways['prefill'])} and decode takes it by"
                f" {','.join(ways['decode'])}",
                "give both one in common: ipc on one machine, or rdma")
    ]  # fmt: skip


def _ways(profile: Profile, role: str, line: str) -> list[str]:
    protocols = Requested(GROUPS.part(profile, role, NO_ROUTER)).items("cache-transfer-protocol")
    return protocols or (["ipc", "rdma"] if at_least(line, "2.5") else ["ipc"])


def _devices(profile: Profile) -> list[Problem]:
    """Each set of `service.gpus` holds as many as one group takes."""
    service = profile.service
    needed = sum(part.count * part.gpus for part in GROUPS.parts(profile))
    sets = service.gpus if service is not None else ()
    wrong = next((one for one in sets if len(one) != needed), None)
    if wrong is None:
        return []
    kinds = " and ".join(f"{p.count} {p.role} x {p.gpus}" for p in GROUPS.parts(profile))
    return [
        problem(profile, "service.gpus", "impossible-combination",
                f"a set of {len(wrong)} GPUs ({','.join(wrong)}) is not what a group takes:"
                f" {needed} ({kinds})", "give each set that many, the prefill instances' first")
    ]  # fmt: skip


def _tensor_parallel(profile: Profile, role: str) -> int:
    return Requested(GROUPS.part(profile, role, NO_ROUTER)).tensor_parallel


def _ranks(profile: Profile, role: str) -> int:
    return Requested(GROUPS.part(profile, role, NO_ROUTER)).local_ranks


def _role(group: GroupSettings, role: str) -> RoleSettings:
    return group.prefill if role == "prefill" else group.decode


def _has(role: RoleSettings, option: str) -> bool:
    return any(canonical(key) == option for key in role.engine_args)


def _without(base: JsonObject, over: JsonObject) -> JsonObject:
    """The options of `base` that `over` does not give, in whatever spelling."""
    own_keys = {canonical(key) for key in over} | {"splitwise-role", "router"}
    return {key: value for key, value in base.items() if canonical(key) not in own_keys}


def _origins(profile: Profile, role: str) -> dict[str, Origin]:
    """Where the values of an instance stand: those of its kind below `service.group`."""
    prefix = f"service.group.{role}."
    origins = dict(profile.origins)
    for path, origin in profile.origins.items():
        if path.startswith(prefix):
            origins[path.removeprefix(prefix)] = origin
    origins.pop("replicas", None)
    return origins


def _restart(line: str) -> JsonObject:
    """A router that starts again knows no instance: before 2.5 they register once only."""
    if not at_least(line, GO_SINCE):
        return {"policy": "never", "on-stall": "report"}
    return {
        "policy": "on-failure", "max-restarts": 20, "window": 600.0, "first-delay": 0.1,
        "max-delay": 5.0, "on-stall": "report",
    }  # fmt: skip


def _plain(value: str) -> bool:
    return not REFERENCE.match(value)
