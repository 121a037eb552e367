"""The profile of a card: each value by the path of its key, with its origin and no secret."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from launcher.card.payloads import CardProfile, CardValue
from launcher.json_values import JsonObject, JsonValue
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Origin, SecretRef
from launcher.redact import MASK, Redactor, is_secret_name

T = TypeVar("T")
UNKNOWN = "not recorded"
"""The origin of a value in an instance that an older release started."""


def card_profile(
    resolved: JsonObject,
    origins: Mapping[str, Origin],
    plan: LaunchPlan | None,
    *,
    path: str | None,
    revision: str | None = None,
) -> CardProfile:
    """The profile as a card shows it; `plan` tells origins of an instance without a record."""
    of_plan = {
        flag.key: flag.origin for flag in (plan.flags if plan else ()) if flag.key and flag.origin
    }
    digest = hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()
    values = tuple(
        CardValue(key, _masked(key, value), _origin(key, origins, of_plan))
        for key, value in flatten(resolved)
    )
    return CardProfile(digest, path, revision, values)


def flatten(values: JsonObject, above: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Every value with the path of its key; a list is one value."""
    for name, value in values.items():
        key = f"{above}.{name}" if above else name
        if isinstance(value, Mapping) and value:
            yield from flatten(value, key)
        else:
            yield key, value


def _origin(key: str, origins: Mapping[str, Origin], of_plan: Mapping[str, str]) -> str:
    path = key
    while path:
        origin = origins.get(path)
        if origin is not None:
            return f"{origin.text()} ({origin.note})" if origin.note else origin.text()
        path = path.rpartition(".")[0]
    return of_plan.get(key, UNKNOWN)


def _masked(key: str, value: JsonValue) -> JsonValue:
    """The value; what is named like a secret is hidden, unless it is a reference to one."""
    name = key.rpartition(".")[2]
    is_reference = isinstance(value, str) and SecretRef.of(value) is not None
    if isinstance(value, str) and value and is_secret_name(name) and not is_reference:
        return MASK
    return value


def without_secrets(value: T, redactor: Redactor) -> T:
    """The value, dataclasses and collections included, with secrets taken out of its texts."""
    return cast(T, _clean(value, redactor))


def _clean(value: Any, redactor: Redactor) -> Any:
    if type(value) is str:
        return redactor.text(value)
    if isinstance(value, Mapping):
        return {key: _clean(one, redactor) for key, one in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_clean(one, redactor) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return dataclasses.replace(
            value, **{one.name: _clean(getattr(value, one.name), redactor) for one in fields}
        )
    return value
