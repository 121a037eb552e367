"""After each scenario the instance is ready again, whatever the scenario did to it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import profile as profiles
from launcher.doctor.preflight import preflight
from launcher.errors import PreconditionError
from launcher.instance.options import read_options
from launcher.instance.restart import restart
from launcher.instance.store import InstanceDir, view
from launcher.instance.survivors import keeper_of
from launcher.instance.up import up
from launcher.json_values import at, number_at
from launcher.keeper.events import read_events
from launcher.lifecycle import COMING, FINAL, InstanceState
from launcher.plan.model import LaunchPlan
from launcher.preparation import prepare
from launcher.profile.model import Profile

POLL = 0.1
"""Seconds between two looks at an instance that is on its way."""


@dataclass(frozen=True)
class Restorer:
    """Brings the instance to ready with the profile that it ran with."""

    profile: Profile
    force: tuple[str, ...]

    @classmethod
    def of(cls, instance: InstanceDir) -> Restorer:
        """With the profile and the options of its last start.

        Raises:
            ProfileError: the stored profile cannot be read.
        """
        loaded = profiles.load(str(instance.folder / "profile.json"), resolved=True)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            # What its owner wrote is kept as it is.
            text = (instance.folder / "profile.yaml").read_text(encoding="utf-8")
            loaded = replace(loaded, text=text)
        return cls(loaded, read_options(instance).force)

    def restore(self, instance: InstanceDir) -> float | None:
        """Wait for an instance that comes back by itself, else bring it up.

        Returns the seconds of a start of ours, from the engine's first moment; None without one.

        Raises:
            DeployError: it cannot be started.
        """
        if self._comes_back(instance):
            return None
        if read_options(instance).foreground:
            raise PreconditionError.of(
                "not-restored",
                f"{instance.name} is {view(instance)[0]} and was started with --foreground: only"
                " its supervisor can start it so again",
                str(instance.folder),
                "start its systemd unit or its container",
            )
        result = up(
            self.profile, on_event=lambda event: None, preflight=self._preflight, force=self.force,
            preferred=instance.ports(),
        )  # fmt: skip
        serving = result.data.serving if result.data else None
        if serving is None:
            if any(problem.code == "interrupted" for problem in result.errors):
                raise KeyboardInterrupt
            raise PreconditionError(result.errors)
        return serving.seconds

    def renew(self, instance: InstanceDir) -> None:
        """Restart the instance under a new keeper, whose restart budget is whole.

        Raises:
            DeployError: it cannot be started.
        """
        result = restart(
            self.profile, on_event=lambda event: None, preflight=self._preflight, force=self.force
        )
        if result.errors:
            raise PreconditionError(result.errors)

    def _preflight(self, prepared: prepare.Prepared, keeper: int | None) -> tuple[str, ...]:
        return preflight(prepared, self.force, keeper)

    def _comes_back(self, instance: InstanceDir) -> bool:
        plan = instance.plan()
        end = time.monotonic() + plan.deadlines.startup
        while time.monotonic() < end:
            state, stored, _ = view(instance)
            if state == InstanceState.READY:
                return True
            if state not in (*COMING, InstanceState.STOPPING):
                # Between two runs a keeper is at work although the state is final.
                waits = state in FINAL and stored is not None
                if not waits or keeper_of(instance.folder, stored) is None:
                    return False
            time.sleep(POLL)
        return False


def restarts_left(plan: LaunchPlan, folder: Path) -> int:
    """How often the keeper may restart the engine at least, before its budget is used up."""
    since = time.time() - plan.restart.window
    recent = [
        event for event in read_events(folder)
        if at(event, "event") == "restart" and (number_at(event, "time") or 0.0) >= since
    ]  # fmt: skip
    return plan.restart.max_restarts - len(recent)
