"""The engine object of hosted endpoints; nothing is ever started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from launcher.engines.base import (
    CAPABILITIES,
    Capability,
    Engine,
    Installed,
    PlanContext,
    PortNeed,
    Release,
)
from launcher.errors import PreconditionError, Problem
from launcher.json_values import JsonObject, list_at
from launcher.nearest import did_you_mean
from launcher.profile.model import Profile


class Hosted(Engine):
    """A hosted endpoint, as the Protocol `launcher.engines.base.Engine`."""

    name = "hosted"
    title = "a hosted endpoint"
    local = False

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Nothing to install: whatever the interpreter has will do."""
        return Installed(python, python_version, None, distributions)

    def release(self, version: str) -> Release:
        """Never: a hosted endpoint tells no version.

        Raises:
            PreconditionError: always.
        """
        _refuse()

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """None on this machine."""
        return ()

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """The model and the address must be named, promises must exist."""
        problems: list[Problem] = []
        for key, value in (
            ("base-url", _requested_settings(profile).get("base-url")),
            ("model", profile.model),
        ):
            if not value:
                problems.append(
                    Problem("missing-key", f"a hosted endpoint needs `{key}`", profile.where(key))
                )
        for word in _promises(profile):
            if word not in CAPABILITIES:
                meant = did_you_mean(word, CAPABILITIES)
                problems.append(
                    Problem(
                        "unknown-capability",
                        f"unknown capability {word!r}{meant}",
                        profile.where("promises"),
                    )
                )
        return problems

    def plan(self, profile: Profile, context: PlanContext) -> NoReturn:
        """Never: a third party runs it.

        Raises:
            PreconditionError: always.
        """
        _refuse()

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What the profile says that the provider promises."""
        return frozenset(_promises(profile))


def _requested_settings(profile: Profile) -> JsonObject:
    return {**profile.resolved, **profile.hosted}


def _promises(profile: Profile) -> list[str]:
    return [str(word) for word in list_at(_requested_settings(profile), "promises")]


def _refuse() -> NoReturn:
    raise PreconditionError.of(
        "hosted",
        "a hosted endpoint is run by a third party",
        remedy="`ernie-deploy smoke` and `compare` take its profile; `up` cannot",
    )


ENGINE = Hosted()
