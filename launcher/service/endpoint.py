"""What the smoke suite asks of a service: its front door, with the promises of its replicas."""

from __future__ import annotations

from dataclasses import replace

from launcher import engines
from launcher.errors import PreconditionError
from launcher.instance.store import instance_dir
from launcher.lifecycle import InstanceState
from launcher.profile.model import Profile
from launcher.service.dialects import has_gateway, running_gateway
from launcher.service.keys import client_key
from launcher.service.revision import profile_of
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir
from launcher.smoke.target import Target
from launcher.smoke.targets.instances import of_plan

GATEWAY = "gateway"
"""The internal engine whose promises and deviations hold for Anthropic's dialect."""


def of_service(service: ServiceDir, profile: Profile | None = None) -> Target:
    """The target that the service is; `profile` has another `smoke:` section than it serves with.

    Counters and settings are not read: each answer would be of another replica.

    Raises:
        PreconditionError: it does not serve, or its key cannot be had.
        ProfileError: the `smoke:` section is wrong.
    """
    state = service.read()
    row = describe_service(service)
    ready = [one for one in row.members if one.state == InstanceState.READY and one.weight > 0]
    if not ready or row.url is None or row.door_state != InstanceState.READY:
        raise PreconditionError.of(
            "service-not-ready", row.message, None,
            row.remedy or f"`ernie-deploy status {service.name}`",
        )  # fmt: skip
    member = state.member(ready[0].name)
    assert member is not None  # noqa: S101  (its row was made of it)
    plan = instance_dir(member.name).plan()
    serving = profile_of(service.revision(member.revision), state.section)
    kept = profile or serving
    reference = client_key(serving)
    if reference is not None:
        # The replicas' own key stays behind the front door.
        kept = replace(kept, settings={**kept.settings, "api-key": reference})
    target = of_plan(replace(plan, instance=service.name, base_url=row.url), kept)
    gateway = running_gateway(service) if has_gateway(service, state, kept) else None
    if gateway is not None:
        adds = engines.get(GATEWAY).capabilities(kept, None)
        target = replace(
            target, extra=(target.extra | adds) - target.denied, gateway=(GATEWAY, gateway.release)
        )
    return replace(
        target, kind="service", metrics_url=None, settings_url=None, settings={},
        folder=service.folder,
    )  # fmt: skip
