"""How a TARGET and a PROFILE of a command line are understood; free of click."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from launcher.environments.payloads import Validation
    from launcher.errors import DeployError
    from launcher.instance.instance_status import Status
    from launcher.instance.probe import ProbeAnswer
    from launcher.instance.store import InstanceDir
    from launcher.profile.model import Profile
    from launcher.result import Result
    from launcher.service.store import ServiceDir
    from launcher.smoke.target import Target


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


def has_services() -> bool:
    """True where a service may exist: without one its room is not imported."""
    from launcher import paths

    return os.path.isdir(paths.services())


def target_service(target: str) -> ServiceDir | None:
    """The existing service that a profile or a name stands for, None where there is none.

    Raises:
        ProfileError: the profile cannot be read.
    """
    if not has_services():
        return None
    from launcher.service.store import find_service

    name = target
    if is_profile(target):
        from launcher.profile import instance_name

        name = instance_name(target)
    return find_service(name)


def readable_instance(target: str) -> InstanceDir:
    """As `target_instance`, also one that a rollout has replaced: its files can still be read.

    Raises:
        DeployError: it does not exist, or its state may not be read.
    """
    from launcher.errors import UsageError

    try:
        return target_instance(target)
    except UsageError:
        if not has_services() or is_profile(target):
            raise
        from launcher.service.instances import find_retired

        retired = find_retired(target)
        if retired is None:
            raise
        return retired


def some_instances(target: str | None) -> tuple[list[InstanceDir], str | None]:
    """The instances of TARGET and its name, or all instances and None.

    Raises:
        DeployError: the instance does not exist, or its state may not be read.
    """
    from launcher.instance.store import every_instance

    service = target_service(target) if target is not None else None
    if service is not None:
        from launcher.service.instances import all_instances

        return all_instances(service), service.name
    if target is None:
        return [*every_instance(), *_retired()], None
    instance = readable_instance(target)
    return [instance], instance.name


def _retired() -> list[InstanceDir]:
    if not has_services():
        return []
    from launcher.service.instances import every_retired

    return every_retired()


def check_stop(instance: str, verb: str) -> None:
    """Refuse to stop an instance without which its service would not answer.

    Raises:
        PreconditionError: there is such a service; names the command for it.
    """
    if has_services():
        from launcher.service import guard

        guard.check_stop(instance, verb)


def service_profile(profile: Profile, path: str, verb: str) -> DeployError:
    """The error of a verb for single instances whose profile has a `service:` section."""
    from launcher.errors import UsageError

    return UsageError.of(
        "service-profile", f"{profile.name} has a `service:` section: it is served by replicas",
        profile.where("service"),
        f"`ernie-deploy deploy {path}`; `{verb} --set service=null` is about a single instance",
    )  # fmt: skip


def check_start(instance: str, path: str) -> None:
    """Refuse to start an instance under a name that a service has.

    Raises:
        PreconditionError: the name is a service's, or one of its instances'.
    """
    if has_services():
        from launcher.service import guard

        guard.check_start(instance, path)


def check_alone(target: str, verb: str) -> None:
    """Refuse `drill`, `enable` and `disable` of a service and of its instances.

    Raises:
        PreconditionError: TARGET is in service.
    """
    if has_services():
        from launcher.service import guard

        service = target_service(target) if is_profile(target) else None
        guard.check_alone(service.name if service is not None else target, verb)


def smoke_target(target: str, **options: Any) -> Target:
    """What `smoke` and `compare` ask: a URL, an instance, or a service's front door.

    `options` are those of `launcher.smoke.targets.resolve.resolve`.

    Raises:
        DeployError: it does not serve, or an option does not fit.
    """
    from launcher.smoke.targets.resolve import is_url, resolve

    service = None if is_url(target) else target_service(target)
    if service is None:
        return resolve(target, **options)
    from launcher.service.endpoint import of_service

    profile = None
    if is_profile(target):
        profile = load_profile(
            target, options.get("overlays", ()), options.get("sets", ()), service.name
        )
    return resolve(target, resolve_name=lambda: of_service(service, profile), **options)


def show_status(target: str | None) -> Result[Status]:
    """The result of `status`: of TARGET, or of all instances.

    Raises:
        DeployError: the instance does not exist, or its state may not be read.
    """
    from launcher.instance.status import status
    from launcher.instance.store import every_instance

    service = target_service(target) if target is not None else None
    if service is not None:
        from launcher.service.status import one_service

        return one_service(service)
    if target is not None:
        return status([target_instance(target)], one=True)
    result = status(every_instance(), one=False)
    if not has_services():
        return result
    from launcher.service.status import with_services
    from launcher.service.store import every_service

    return with_services(result, every_service())


def run_probe(target: str, kind: str, timeout: float | None = None) -> Result[ProbeAnswer]:
    """The result of `probe`.

    Raises:
        DeployError: the instance or its keeper is missing, or it did not answer in time.
    """
    from launcher.instance.probe import TIMEOUT, probe

    seconds = TIMEOUT if timeout is None else timeout
    service = target_service(target)
    if service is not None:
        from launcher.service.probe import probe_service

        return probe_service(service, kind, seconds)
    return probe(target_instance(target), kind, seconds)


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
