"""What the verbs return that only show something: no room of theirs makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.codec import written
from launcher.doctor.model import Finding
from launcher.json_values import JsonObject
from launcher.profile.catalogue import ProfileRow
from launcher.profile.model import Origin


@dataclass(frozen=True)
class InstalledEngine:
    """An engine's environment in `version`."""

    engine: str
    version: str
    path: str


@dataclass(frozen=True)
class Version:
    """`version`: of ernie-deploy, of Python, and of what is installed below `home`."""

    ernie_deploy: str
    python: str
    home: str
    engines: tuple[InstalledEngine, ...] = ()


@dataclass(frozen=True)
class Completion:
    """`completion`: the script for one shell."""

    shell: str
    script: str


@dataclass(frozen=True)
class ProfileList:
    """`profiles list`."""

    profiles: tuple[ProfileRow, ...]


@dataclass(frozen=True)
class ShownProfile:
    """`profiles show`; `origins`, by the path of the key, with `--origins`."""

    profile: JsonObject
    path: str | None
    notes: tuple[str, ...]
    origins: Mapping[str, Origin] | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class ProfileSchema:
    """`profiles schema`: the JSON Schema of profiles."""

    schema: JsonObject


@dataclass(frozen=True)
class DoctorReport:
    """`doctor`: every answer, and how many there are of each kind."""

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
