"""How a TARGET and a PROFILE of a command line are understood; free of click."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.environments.payloads import Validation
    from launcher.errors import DeployError
    from launcher.instance.instance_status import Status
    from launcher.instance.probe import ProbeAnswer
    from launcher.instance.store import InstanceDir
    from launcher.profile.model import Profile
    from launcher.result import Result


def load_profile(
    path: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    version: str | None = None,
    *,
    resolved: bool = False,
    pulled: bool = True,
) -> Profile:
    """The profile as given on the command line; `version` of the engine is judged for.

    With `resolved`, `path` is an instance's own. With `pulled`, a model that `model pull` made a
    copy of is that copy.

    Raises:
        ProfileError: with every problem, those that only the engine knows of included.
    """
    from launcher import profile
    from launcher.errors import DeployError

    wrong: DeployError | None = None
    try:
        loaded = profile.load(path, overlays=overlays, sets=sets, name=name, resolved=resolved)
    except DeployError as error:
        wrong, loaded = error, error.partial
    if loaded is not None and loaded.smoke:
        # The profile's room knows no checks; it takes a moment, so only where there is a section.
        from launcher.smoke.section.rules import with_section

        wrong = with_section(wrong, loaded)
    if wrong is not None:
        from launcher.environments.judge import completed

        raise completed(wrong, version)
    if not os.path.exists(os.path.expanduser(path)):
        sys.stderr.write(f"the profile is {loaded.path}, which ships with ernie-deploy\n")
    if not pulled or loaded.model_is_path:
        return loaded
    from launcher.weights.pulled import with_pulled

    return with_pulled(loaded)


def is_profile(target: str) -> bool:
    """True where a TARGET names a profile's file rather than an instance."""
    return "/" in target or target.endswith((".yaml", ".yml"))


def target_instance(target: str, *, must_exist: bool = True) -> InstanceDir:
    """The instance that a profile or a name stands for.

    Raises:
        UsageError: it does not exist although it must.
        PreconditionError: its state may not be read.
        ProfileError: the profile cannot be read.
    """
    from launcher.instance.store import check_readable, instance_dir, open_instance

    name = target
    if is_profile(target):
        # Only the name is needed: `down` must work although a variable is unset by now.
        from launcher.profile import instance_name

        name = instance_name(target)
    if must_exist:
        return open_instance(name)
    instance = instance_dir(name)
    check_readable(instance)
    return instance


def some_instances(target: str | None) -> tuple[list[InstanceDir], str | None]:
    """The instance of TARGET and its name, or all instances and None.

    Raises:
        DeployError: the instance does not exist, or its state may not be read.
    """
    from launcher.instance.store import every_instance

    if target is None:
        return every_instance(), None
    instance = target_instance(target)
    return [instance], instance.name


def show_status(target: str | None) -> Result[Status]:
    """The result of `status`: of TARGET, or of all instances.

    Raises:
        DeployError: the instance does not exist, or its state may not be read.
    """
    from launcher.instance.status import status
    from launcher.instance.store import every_instance

    if target is not None:
        return status([target_instance(target)], one=True)
    return status(every_instance(), one=False)


def run_probe(target: str, kind: str, timeout: float | None = None) -> Result[ProbeAnswer]:
    """The result of `probe`.

    Raises:
        DeployError: the instance or its keeper is missing, or it did not answer in time.
    """
    from launcher.instance.probe import TIMEOUT, probe

    return probe(target_instance(target), kind, TIMEOUT if timeout is None else timeout)


def validate_profile(
    path: str,
    overlays: tuple[str, ...] = (),
    sets: tuple[str, ...] = (),
    name: str | None = None,
    version: str | None = None,
) -> Result[Validation]:
    """The result of `validate`.

    Raises:
        ProfileError: with every problem of the profile.
    """
    from launcher.result import Result

    loaded = load_profile(path, overlays, sets, name, version)
    from launcher.environments.judge import judge

    return Result("validate", judge(loaded, version))
