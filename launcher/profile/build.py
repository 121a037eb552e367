"""A `Profile` from the plain values of one: those just read, or those kept with an instance."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeVar

from launcher.json_values import (
    JsonObject,
    JsonValue,
    at,
    integer_at,
    is_list,
    list_at,
    number_at,
    object_at,
)
from launcher.profile.model import Health, Liveness, Logs, Profile, Restart, Stop
from launcher.profile.schema import neutral_keys, schema
from launcher.profile.service import (
    FrontDoor,
    GroupSettings,
    RoleSettings,
    RolloutSettings,
    ServiceSettings,
)
from launcher.profile.service_keys import read_keys

Section = TypeVar(
    "Section", Health, Restart, Liveness, Stop, Logs, FrontDoor, GroupSettings, RolloutSettings,
    ServiceSettings,
)  # fmt: skip


def build(values: JsonObject, path: str | None = None) -> Profile:
    """The profile of `values`, which the schema accepted; `path` is the file they are kept in.

    What an older or newer version wrote beyond the keys of today is left out.
    """
    gpus, ports = values.get("gpus"), object_at(values, "ports")
    return Profile(
        name=_text(values, "name") or "",
        engine=_text(values, "engine") or "",
        model=_text(values, "model") or "",
        description=_text(values, "description"),
        engine_version=_text(values, "engine-version"),
        host=_text(values, "host") or Profile.host,
        admin_host=_text(values, "admin-host") or Profile.admin_host,
        ports={name: integer_at(ports, name) or _word(ports[name]) for name in ports},
        gpus=tuple(str(gpu) for gpu in gpus) if is_list(gpus) else None,
        settings={
            key: value
            for key in neutral_keys()
            if (value := at(values, *key.split("."))) is not None
        },
        env={name: str(value) for name, value in object_at(values, "env").items()},
        python=_text(values, "python"),
        engine_args=object_at(values, "engine-args"),
        memory_max=integer_at(values, "memory-max"),
        health=_section(Health(), values, "health"),
        restart=_section(Restart(), values, "restart"),
        liveness=_section(Liveness(), values, "liveness"),
        stop=_section(Stop(), values, "stop"),
        smoke=object_at(values, "smoke"),
        slo=object_at(values, "slo"),
        logs=_section(Logs(), values, "logs"),
        notify=tuple(object_at(one) for one in list_at(values, "notify")),
        service=_service(values) if "service" in values else None,
        render=object_at(values, "render"),
        hosted={
            name: values[name]
            for name, key in schema().items()
            if key.only == "hosted" and name in values
        },
        resolved=values,
        path=path,
    )


def _service(values: JsonObject) -> ServiceSettings:
    """The `service:` section; a port of `auto` is 0."""
    section = object_at(values, "service")
    door = object_at(section, "front-door")
    if door.get("port") == "auto":
        door = {**door, "port": 0}
    sets = tuple(
        tuple(str(device) for device in devices) if is_list(devices) else ()
        for devices in list_at(section, "gpus")
    )
    return dataclasses.replace(
        _section(ServiceSettings(), values, "service"),
        gpus=sets,
        keys=read_keys(section),
        front_door=_section(FrontDoor(), {"front-door": door}, "front-door"),
        rollout=_rollout(values),
        group=_group(section) if "group" in section else None,
    )


def _rollout(values: JsonObject) -> RolloutSettings:
    """The `rollout:` part of a service, with the objectives of the profile's `slo:`.

    A mean above the largest percentile that an objective allows cannot be within it.
    """
    section, slo = object_at(values, "service"), object_at(values, "slo")
    settings = _section(RolloutSettings(), section, "rollout")
    error_rate = number_at(slo, "error-rate")
    if error_rate is not None and "max-error-rate" not in object_at(section, "rollout"):
        settings = dataclasses.replace(settings, max_error_rate=float(error_rate))
    return dataclasses.replace(
        settings, slo_ttft=_largest(slo, "ttft"), slo_latency=_largest(slo, "e2e")
    )


def _largest(slo: JsonObject, metric: str) -> float | None:
    limits = [one for one in object_at(slo, metric).values() if isinstance(one, (int, float))]
    return float(max(limits)) if limits else None


def _group(section: JsonObject) -> GroupSettings:
    """The `group:` part of a service."""
    group = object_at(section, "group")
    return dataclasses.replace(
        _section(GroupSettings(), section, "group"),
        prefill=_role(object_at(group, "prefill")),
        decode=_role(object_at(group, "decode")),
    )


def _role(values: JsonObject) -> RoleSettings:
    return RoleSettings(
        replicas=integer_at(values, "replicas") or 1,
        tensor_parallel_size=integer_at(values, "tensor-parallel-size"),
        max_num_seqs=integer_at(values, "max-num-seqs"),
        engine_args=object_at(values, "engine-args"),
        env=object_at(values, "env"),
    )


def _word(value: JsonValue) -> Literal["auto", "unix"]:
    """What stands for a port's number."""
    return "unix" if value == "unix" else "auto"


def _text(values: JsonObject, key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


def _section(default: Section, values: JsonObject, name: str) -> Section:
    """`default` with the fields that the section gives."""
    section = object_at(values, name)
    fields: dict[str, Any] = {}  # of as many types as the section has fields
    for field in dataclasses.fields(default):
        value: Any = section.get(field.name.replace("_", "-"))
        if is_list(value):
            value = tuple(value)
        if _is_like(value, getattr(default, field.name)):
            fields[field.name] = value
    return dataclasses.replace(default, **fields)


def _is_like(value: object, default: object) -> bool:
    """Whether a value kept in a file has the type of the field."""
    number = (int, float)
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, number):
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, type(default))
