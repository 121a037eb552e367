"""Is it our instance that would answer: it is ready, and its own process has the port.

A port outlives its instance: the process that listens there now may serve the same model under the
same name, and every check would be green for an instance that does not run.
"""

from __future__ import annotations

from launcher.errors import PreconditionError
from launcher.host.sockets import describe_holder, holder, listeners_on
from launcher.instance.store import InstanceDir, check_readable, instance_dir, open_instance, view
from launcher.keeper.identity import descendants, look
from launcher.keeper.state import State
from launcher.lifecycle import COMING, UNSUCCESSFUL, InstanceState


def serving(name: str, profile: str | None = None) -> InstanceDir:
    """The instance called `name`, which is ready and listens; `profile` is the file that was given.

    Raises:
        UsageError: no such instance (where it was asked for by its name).
        PreconditionError: it is not ready, or its port belongs to another process.
    """
    instance = instance_dir(name)
    check_readable(instance)
    if profile is None:
        open_instance(name)
    elif not (instance.exists or (instance.folder / "state.json").exists()):
        raise PreconditionError.of(
            "instance-not-ready",
            f"nothing runs under the name {name}",
            profile,
            f"`ernie-deploy up {profile}` starts it",
        )
    state, stored, note = view(instance)
    if state != InstanceState.READY or stored is None:
        summary = f"{name} {'has' if state in UNSUCCESSFUL else 'is'} {state}"
        raise PreconditionError.of(
            "instance-not-ready",
            f"{summary}: {note}" if note else summary,
            profile,
            _remedy(name, state, profile),
        )
    _holds_its_port(instance, stored)
    return instance


def _remedy(name: str, state: InstanceState, profile: str | None) -> str:
    up = f"`ernie-deploy up {profile or 'PROFILE'}`"
    if state in COMING:
        return f"{up} waits until it is ready; `ernie-deploy status {name}` says how far it is"
    if state == InstanceState.FOREIGN:
        return "ask there, or by its address: `ernie-deploy smoke http://HOST:PORT`"
    if state == InstanceState.DAMAGED:
        return f"`ernie-deploy down {name}` takes away what is left of it"
    again = "" if profile else f", `ernie-deploy restart {name}` starts what ran before"
    return f"{up} starts it{again}"


def _holds_its_port(instance: InstanceDir, state: State) -> None:
    """The rule of the first rung of readiness, looked at from outside the keeper."""
    plan = instance.plan()
    number = plan.port(plan.readiness.port).number
    keeper = look(state.keeper.pid) if state.keeper else None
    ours = [process.pid for process in descendants(keeper)] if keeper is not None else []
    if any(holder(one.inode, ours) is not None for one in listeners_on(number)):
        return
    who = describe_holder(number)
    raise PreconditionError.of(
        "port-not-ours",
        f"{instance.name} is ready, but no process of it listens on port {number}: "
        + (f"{who} does" if who else "nothing does"),
        None,
        f"`ernie-deploy diagnose {instance.name}`",
    )
