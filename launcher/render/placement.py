"""A resolved profile as a target needs it: addresses, ports, paths and secrets of that place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from launcher.engines.base import PortNeed
from launcher.json_values import JsonObject, JsonValue, integer_at, is_list, object_at
from launcher.plan.model import ADMIN
from launcher.profile.model import SecretRef
from launcher.profile.variables import escape_variables

Place = Literal["host", "container", "job"]
"""`host`: a machine of its own user. `container`: alone in a network of its own. `job`: a batch
job, perhaps beside others on the same machine."""

API_PORT, ADMIN_PORT = 8180, 9180
"""In a container, where the profile names none: they are part of the contract with its network."""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - in the container; the rendered policy says who reaches it
MODELS = "/models"
"""Where the weights' volume is mounted in a container."""
SECRETS = "/run/secrets"
"""Where containers get secrets as files; for one instance a folder of its own in Kubernetes."""
CREDENTIALS = "${CREDENTIALS_DIRECTORY}"
"""systemd's folder of the unit's credentials, a variable when the keeper reads the profile."""
_HOLDERS = ("api-key", "env", "notify")
"""Keys of a profile that hold references to secrets."""


def numbers(needs: Iterable[PortNeed], given: Mapping[str, int | str]) -> dict[str, int]:
    """A number for each port: the profile's, else a fixed one that no other has."""
    needs = list(needs)
    wishes = {"api": API_PORT, ADMIN: ADMIN_PORT}
    chosen: dict[str, int] = {}
    taken: set[int] = set()
    for need in sorted(needs, key=lambda one: not isinstance(given.get(one.name), int)):
        number = given.get(need.name)
        if not isinstance(number, int):
            number = wishes.get(need.name, API_PORT + 1)
            while taken & set(range(number, number + need.span)):
                number += 1
        taken |= set(range(number, number + need.span))
        chosen[need.name] = number
    return {need.name: chosen[need.name] for need in needs}


def place_profile(
    resolved: JsonObject, place: Place, ports: Mapping[str, int], replicas: int
) -> JsonObject:
    """The profile for `place`; what the operator asked of the server itself stays as it is.

    Of a service it is that of one replica: there the target has the replicas and their address.
    """
    placed = {key: value for key, value in resolved.items() if key not in ("render", "service")}
    if place == "host":
        if replicas > 1:
            # Replicas on one machine share neither ports nor GPUs.
            placed["ports"] = dict.fromkeys(object_at(resolved, "ports"), "auto")
            placed.pop("gpus", None)
        return placed
    placed |= {"host": EVERYWHERE, "admin-host": EVERYWHERE}
    if place == "job":
        # Two jobs may meet on one machine: no number is fixed, the endpoint is published.
        placed["ports"] = dict.fromkeys(object_at(resolved, "ports"), "auto")
        return placed
    placed["ports"] = dict(ports)
    # The device plug-in or the runtime chooses the GPUs and numbers them from 0.
    placed.pop("gpus", None)
    # The image has one engine, which its own state directory names.
    placed.pop("python", None)
    model = str(placed["model"])
    if model.startswith("/"):
        placed["model"] = f"{MODELS}/{model.rstrip('/').rpartition('/')[2]}"
    else:
        placed["cache-dir"] = MODELS
    return placed


def secret_names(resolved: JsonObject) -> tuple[str, ...]:
    """The variables that the profile's secrets are read from, sorted."""
    references = (SecretRef.of(text) for text in _secret_texts(resolved))
    return tuple(sorted({one.value for one in references if one is not None and one.kind == "env"}))


def written_profile(placed: JsonObject, folder: str | None) -> JsonObject:
    """The profile as it is written: variables escaped, `env:` secrets read from files in `folder`.

    A variable would be seen in the unit, the container's description or the job's record; a file
    is seen by the server's own user. None leaves the references as they are.
    """
    text = {key: escape_variables(value) for key, value in placed.items()}
    if folder is None:
        return text
    return {
        key: _relocated(value, folder) if key in _HOLDERS else value for key, value in text.items()
    }


def _relocated(value: JsonValue, folder: str) -> JsonValue:
    if isinstance(value, str):
        reference = SecretRef.of(value)
        is_variable = reference is not None and reference.kind == "env"
        return f"file:{folder}/{value.removeprefix('env:')}" if is_variable else value
    if isinstance(value, Mapping):
        return {key: _relocated(item, folder) for key, item in value.items()}
    if is_list(value):
        return [_relocated(item, folder) for item in value]
    return value


def _secret_texts(value: JsonValue, inside: bool = False) -> Iterator[str]:
    if isinstance(value, str) and inside:
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secret_texts(item, inside or key in _HOLDERS)
    elif is_list(value):
        for item in value:
            yield from _secret_texts(item, inside)


def port_wishes(resolved: JsonObject) -> dict[str, int | str]:
    """The ports that the profile names, by name."""
    ports = object_at(resolved, "ports")
    return {name: integer_at(ports, name) or str(value) for name, value in ports.items()}
