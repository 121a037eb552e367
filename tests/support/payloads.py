"""The payload of every verb, and payloads made of as much JSON as a test is about."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from launcher.bench.result import BenchComparison, BenchRun, Tuning
from launcher.card.payloads import ServingCard
from launcher.codec import decode
from launcher.diagnose.diagnosis import LogDiagnosis
from launcher.diagnose.pages import Explanation, PageIndex
from launcher.door.endpoints import Doorway
from launcher.drill.payloads import DrillRun, ScenarioList
from launcher.environments.payloads import (
    EngineEnvironment,
    EngineInstall,
    EngineList,
    PlannedInstall,
    ReleaseChanges,
    Validation,
)
from launcher.errors import ExitCode, Problem
from launcher.instance.boot import Boot
from launcher.instance.first_cause import InstanceDiagnosis
from launcher.instance.instance_status import Status
from launcher.instance.logs import Logs
from launcher.instance.payloads import Down, Restart, Up
from launcher.instance.probe import ProbeAnswer
from launcher.instance.show import PlanOutput
from launcher.json_values import JsonObject, JsonValue
from launcher.observe.events import ShownEvents
from launcher.observe.incidents import IncidentList, ShownIncident
from launcher.observe.overview import Overview
from launcher.observe.wait import Waited
from launcher.plan.memory import MemoryPlan
from launcher.preparation.new_profile import NewProfile
from launcher.render.drift import Drift
from launcher.render.rendering import Rendered
from launcher.report.payloads import (
    Completion,
    DoctorReport,
    ProfileList,
    ProfileSchema,
    ShownProfile,
    Version,
)
from launcher.result import Result
from launcher.service.key_payloads import KeyList, KeyRotation, Usage
from launcher.service.overview import OverviewWithServices
from launcher.service.payloads import Deployed, Held, History, ServiceDown, StatusWithServices
from launcher.service.wait import ServiceWaited
from launcher.smoke.comparison.payloads import Comparison
from launcher.smoke.run.results import CheckList, SmokeRun
from launcher.weights.payloads import (
    CreatedBundle,
    InstalledBundle,
    ModelList,
    PulledModel,
    VerifiedModel,
)

T = TypeVar("T")

PAYLOADS: dict[str, tuple[type, ...]] = {
    "up": (Up, PlanOutput),
    "down": (Down, ServiceDown),
    "restart": (Restart, Down, Deployed),
    "deploy": (Deployed,),
    "rollback": (Deployed,),
    "scale": (Deployed,),
    "history": (History,),
    "lock": (Held,),
    "unlock": (Held,),
    "keys list": (KeyList,),
    "keys rotate": (KeyRotation,),
    "usage": (Usage,),
    "status": (Status, StatusWithServices),
    "top": (Overview, OverviewWithServices),
    "wait": (Waited, ServiceWaited),
    "render": (Rendered,),
    "diff": (Drift,),
    "door": (Doorway,),
    "events": (ShownEvents,),
    "probe": (ProbeAnswer,),
    "enable": (Boot,),
    "disable": (Boot,),
    "logs": (Logs,),
    "plan": (MemoryPlan, PlanOutput),
    "validate": (Validation,),
    "profiles list": (ProfileList,),
    "profiles show": (ShownProfile,),
    "profiles schema": (ProfileSchema,),
    "profiles init": (NewProfile,),
    "profiles diff-release": (ReleaseChanges,),
    "engine list": (EngineList,),
    "engine install": (EngineInstall, PlannedInstall),
    "engine path": (EngineEnvironment,),
    "model pull": (PulledModel,),
    "model verify": (VerifiedModel,),
    "model list": (ModelList,),
    "bundle create": (CreatedBundle,),
    "bundle install": (InstalledBundle,),
    "bench": (BenchRun,),
    "bench compare": (BenchComparison,),
    "bench tune": (Tuning,),
    "smoke": (SmokeRun, CheckList),
    "drill": (DrillRun, ScenarioList),
    "report": (ServingCard,),
    "compare": (Comparison,),
    "doctor": (DoctorReport,),
    "diagnose": (InstanceDiagnosis, LogDiagnosis),
    "explain": (Explanation, PageIndex),
    "incidents list": (IncidentList,),
    "incidents show": (ShownIncident,),
    "completion": (Completion,),
    "version": (Version,),
}
"""Command to what it returns."""
TELLING = {
    DrillRun: "target",
    SmokeRun: "target", MemoryPlan: "prediction", PlanOutput: "plan", PlannedInstall: "dry_run",
    InstanceDiagnosis: "state", Explanation: "page", Restart: "stopped", Deployed: "outcome",
    ServiceDown: "service", StatusWithServices: "services", OverviewWithServices: "services",
    ServiceWaited: "condition",
}  # fmt: skip
"""Payload to the key that tells it from the others of its command."""


def kind_of(command: str, data: Mapping[str, object]) -> type:
    """The payload of a command whose JSON is `data`."""
    kinds = PAYLOADS[command]
    telling = [kind for kind in kinds if kind in TELLING and TELLING[kind] in data]
    plain = [kind for kind in kinds if kind not in TELLING]
    return (telling or plain or list(kinds))[0]


def result(
    command: str,
    data: Mapping[str, object],
    instance: str | None = None,
    code: ExitCode = ExitCode.DONE,
    errors: tuple[Problem, ...] = (),
) -> Result[Any]:
    """The result of a verb; what `data` lacks of its payload is empty."""
    payload: object = made(kind_of(command, data), data)
    return Result(command, payload, instance, code, errors)


def made(kind: type[T], data: Mapping[str, object]) -> T:
    """The dataclass `kind` with these values of its JSON, and empty ones for the others."""
    return decode(kind, typing.cast(JsonObject, _complete(kind, data)), tolerant=True)


def _complete(kind: object, value: object) -> object:
    """`value` with all that the JSON of `kind` must have."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return _object(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if value is None or origin is None:
        return value
    if isinstance(value, Mapping) and origin is not Mapping and origin is not dict:
        of_its_kind = [
            one for one in arguments if dataclasses.is_dataclass(one) and _fits(one, value)
        ]
        return _complete(of_its_kind[0], value) if of_its_kind else value
    if isinstance(value, Mapping):
        return {key: _complete(arguments[1], one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str) and origin in (tuple, list):
        return [_complete(arguments[0], one) for one in value]
    return value


def _fits(kind: object, value: Mapping[str, object]) -> bool:
    """True where the tag in `value`, if the class has one, is that of the class."""
    hints: dict[str, object] = inspect.get_annotations(typing.cast(type, kind), eval_str=True)
    tags = {name: hint for name, hint in hints.items() if typing.get_origin(hint) is Literal}
    return all(value.get(name) in typing.get_args(hint) for name, hint in tags.items())


def _class_of(hint: object) -> type:
    """The dataclass of `AClass` or `AClass | None`."""
    classes = [one for one in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(one)]
    return typing.cast(type, classes[0])


def _hints(kind: type) -> dict[str, object]:
    hints: dict[str, object] = {}
    for base in reversed(kind.__mro__):
        hints.update(inspect.get_annotations(base, eval_str=True))
    return hints


def _names(kind: type) -> set[str]:
    """The keys of its JSON, those of what stands inline in it too."""
    names: set[str] = set()
    for field in dataclasses.fields(kind):
        if field.metadata.get("inline"):
            names |= _names(_class_of(_hints(kind)[field.name]))
        else:
            names.add(field.metadata.get("name") or field.name)
    return names


def _object(kind: type, value: Mapping[str, object]) -> dict[str, object]:
    hints = _hints(kind)
    completed = dict(value)
    for field in dataclasses.fields(kind):
        hint, name = hints[field.name], field.metadata.get("name") or field.name
        is_required = field.default is field.default_factory is dataclasses.MISSING
        if field.metadata.get("inline"):
            inner = _class_of(hint)
            names = _names(inner)
            if is_required or names & set(value):
                part = _object(inner, value)
                completed.update({key: one for key, one in part.items() if key in names})
        elif name in value:
            completed[name] = _complete(hint, value[name])
        elif is_required:
            completed[name] = _blank(hint)
    return completed


def _blank(kind: object) -> JsonValue | dict[str, object]:
    """An empty value of a type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _object(kind, {})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return typing.cast(JsonValue, next(iter(kind)).value)
    if kind in (str, int, float, bool):
        return typing.cast(type[str], kind)()
    if origin is Literal:
        return typing.cast(JsonValue, arguments[0])
    if type(None) in arguments:
        return None
    return [] if origin in (tuple, list) else {}
