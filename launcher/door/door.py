"""Starts the front door of a service, and brings its file and its process to what is asked for.

The file is written first: it is what a HAProxy that is started again reads. One process at a time
may change a door; the lock of the service sees to that.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import files, paths, subprocesses
from launcher.door.config import DoorSettings, Server, frame_of, render
from launcher.door.key_maps import read_maps, restore_maps, update_running, write_maps
from launcher.door.master import old_workers, reload
from launcher.door.master import running_requests as requests_of
from launcher.door.profile import door_name
from launcher.door.runtime import Door, OnProgress
from launcher.engines.haproxy.engine import MASTER_SOCKET, STATS_SOCKET
from launcher.errors import DeployError, PreconditionError, Problem
from launcher.instance.payloads import Up
from launcher.instance.start_follower import OnEvent
from launcher.instance.store import InstanceDir, instance_dir, view
from launcher.instance.up import up
from launcher.json_values import text_at
from launcher.lifecycle import LIVE
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from launcher.result import Result

CONFIG = "haproxy.cfg"
CHECK_DEADLINE = 30.0
"""Seconds for `haproxy -c`; it takes some 10 ms."""
WORKER_POLL = 0.1
"""Seconds between two looks at old workers: the master does not tell when one ends."""
REMOVE_DEADLINE = 30.0
"""Seconds in which a server that is taken out may end its requests; drain it before."""


@dataclass(frozen=True)
class Applied:
    """What was changed in the running process; `keys` by its maps, without a reload."""

    reloaded: bool = False
    keys: bool = False
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def start(
    profile: Profile,
    settings: DoorSettings,
    servers: Sequence[Server],
    *,
    on_event: OnEvent,
) -> Result[Up]:
    """Write the configuration that `profile` names and bring the door up, or find it running.

    `profile` is made by `door_profile` of the same settings. A door that already runs is brought
    to `servers`.

    Raises:
        DeployError: as `launcher.instance.up.up`; or HAProxy refuses the configuration.
        ValueError: a value cannot stand in a configuration.
    """
    instance = instance_dir(profile.name)
    if view(instance)[0] in LIVE:
        result = up(profile, on_event=on_event)
        apply(settings, servers)
        return result
    config = Path(str(profile.engine_args["config"]))
    text = render(settings, servers)
    write_maps(settings.keys)
    paths.write_private(config, text, "the configuration")
    return up(profile, on_event=on_event, preferred=instance.ports())


def apply(
    settings: DoorSettings,
    servers: Sequence[Server],
    *,
    deadline: float = REMOVE_DEADLINE,
    on_progress: OnProgress | None = None,
) -> Applied:
    """Bring file and running process to `settings` and `servers`; doing it again changes nothing.

    Where only servers differ, requests are not touched: new ones are added, weights and addresses
    set, and those that are left out removed once idle, within `deadline` seconds. A replica to be
    added must be proved before. Anything else is loaded by a reload, which closes no port and cuts
    no request.

    Raises:
        PreconditionError: `door-not-running`; `door-fixed`: address, port or TLS cannot change
            without a restart; `door-config-refused`: HAProxy refuses the configuration, and file
            and process are as they were.
        DeadlineError: a server that is left out still works on requests; it gets no new ones.
        ValueError: a value cannot stand in a configuration.
    """
    instance = instance_dir(door_name(settings.name))
    if view(instance)[0] not in LIVE:
        raise PreconditionError.of(
            "door-not-running", f"the front door of {settings.name} does not run",
            str(instance.folder), "`ernie-deploy deploy` starts it",
        )  # fmt: skip
    plan = instance.plan()
    check_fixed(settings, plan)
    config = config_path(instance)
    text = render(settings, servers)
    door = door_of(instance)
    stats_socket = Path(plan.temporary_folder) / STATS_SOCKET
    if door.frame() == frame_of(text):
        write_maps(settings.keys)
        paths.write_private(config, text, "the configuration")
        keys = update_running(stats_socket, settings.keys)
        more = _converge(door, settings, servers, deadline, on_progress)
        return replace(more, keys=keys)
    before, maps = files.read_text(config), read_maps(settings.keys)
    write_maps(settings.keys)
    try:
        _check(text, config, plan)
    except DeployError:
        restore_maps(maps)
        raise
    paths.write_private(config, text, "the configuration")
    # A worker that is replaced still answers once on each idle connection: by the new keys, too.
    keys = update_running(stats_socket, settings.keys)
    log_size = _size(instance.engine_log)
    reloaded = reload(Path(plan.temporary_folder) / MASTER_SOCKET)
    if not reloaded.done:
        paths.write_private(config, before, "the configuration")
        restore_maps(maps)
        message = reloaded.message or _alerts(instance.engine_log, log_size)
        raise _refused(config, message or "HAProxy does not say why")
    more = _converge(door, settings, servers, deadline, on_progress)
    return replace(more, reloaded=True, keys=keys)


def door_of(instance: InstanceDir) -> Door:
    """The running front door of an instance.

    Raises:
        PreconditionError: the instance has no plan.
    """
    folder = Path(text_at(instance.plan_data(), "temporary_folder"))
    return Door(folder / STATS_SOCKET, folder / MASTER_SOCKET)


def wait_for_old_workers(instance: InstanceDir, seconds: float) -> bool:
    """Wait until no worker of before a reload is left; False where one is after `seconds`.

    A client's kept connection stays with its worker for one more request. After `keep_alive` only
    requests are left there that run already.

    Raises:
        PreconditionError: the instance has no plan, or HAProxy does not answer.
    """
    master = Path(text_at(instance.plan_data(), "temporary_folder")) / MASTER_SOCKET
    end = time.monotonic() + seconds
    while old_workers(master):
        if time.monotonic() >= end:
            return False
        time.sleep(WORKER_POLL)
    return True


def running_requests(instance: InstanceDir) -> int | None:
    """Requests at work in a door that was told to end; None where it was not, or has ended.

    Raises:
        DeployError: HAProxy does not answer.
    """
    folder = Path(text_at(instance.plan_data(), "temporary_folder"))
    return requests_of(folder / MASTER_SOCKET)


def config_path(instance: InstanceDir) -> Path:
    """The configuration file of a door's instance.

    Raises:
        PreconditionError: the instance is not a front door.
    """
    path = text_at(instance.profile(), "engine-args", "config")
    if not path:
        raise PreconditionError.of(
            "not-a-door", f"{instance.name} is not a front door", str(instance.folder)
        )
    return Path(path)


def _converge(
    door: Door,
    settings: DoorSettings,
    servers: Sequence[Server],
    deadline: float,
    on_progress: OnProgress | None,
) -> Applied:
    """Bring the running servers to those of the file: first what is added, last what is removed."""
    running = {state.name: state for state in door.servers()}
    added, changed, removed = [], [], []
    for server in servers:
        now = running.get(server.name)
        if now is None:
            door.add(settings, server)
            added.append(server.name)
            continue
        addresses = (server.address, server.port, server.ready_port)
        if (now.address, now.port, now.ready_port) != addresses:
            door.move(server)
            changed.append(server.name)
        if now.state == "maint" or (now.state == "drain" and now.weight):
            door.resume(server.name)
            changed.append(server.name)
        if now.weight != server.weight:
            door.set_weight(server.name, server.weight)
            changed.append(server.name)
    names = {server.name for server in servers}
    for name in running:
        if name not in names:
            door.remove(name, deadline, on_progress)
            removed.append(name)
    return Applied(
        added=tuple(added), changed=tuple(dict.fromkeys(changed)), removed=tuple(removed)
    )


def check_fixed(settings: DoorSettings, plan: LaunchPlan) -> None:
    """Refuse to change what is part of the door's `plan`.

    Raises:
        PreconditionError: `door-fixed`: the address, a port or TLS differs.
    """
    runs = {use.name: use for use in plan.engine_ports}
    differing = [] if "inner" in runs else ["it runs without a port for a gateway"]
    if runs["api"].address != settings.address:
        differing.append(f"address: runs {runs['api'].address}, asked {settings.address}")
    for name, port in (("api", settings.port), ("stats", settings.stats_port)):
        if port not in ("auto", runs[name].number):
            differing.append(f"port {name}: runs {runs[name].number}, asked {port}")
    if plan.base_url.startswith("https:") != (settings.certificate is not None):
        differing.append(
            "TLS: runs with it" if settings.certificate is None else "TLS: runs without"
        )
    if differing:
        raise PreconditionError(
            Problem(
                "door-fixed",
                "; ".join(differing),
                None,
                f"`ernie-deploy down {settings.name}`, then deploy again: clients are cut off",
            )
        )


def _check(text: str, config: Path, plan: LaunchPlan) -> None:
    """Ask HAProxy whether it would take `text`; nothing is changed.

    Raises:
        PreconditionError: it would not.
    """
    env = {variable.name: variable.value for variable in plan.env}
    with tempfile.NamedTemporaryFile("w", dir=config.parent, prefix=".check-") as file:
        file.write(text)
        file.flush()
        try:
            argv = [plan.argv[0], "-c", "-f", file.name]
            output = subprocesses.run(argv, deadline=CHECK_DEADLINE, env=env, cwd="/")
        except OSError as error:
            raise _refused(config, f"{plan.argv[0]}: {error.strerror or error}") from None
        if output.returncode != 0:
            alerts = _alert_lines((output.stdout + output.stderr).decode(errors="replace"))
            message = alerts.replace(file.name, str(config)) or output.complaint
            raise _refused(config, message or f"exit code {output.returncode}")


def _alerts(log: Path, start: int) -> str:
    """Alerts in a log from the byte `start` on."""
    try:
        descriptor = files.open_plain(log, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return _alert_lines(os.pread(descriptor, 256 * 1024, start).decode(errors="replace"))
    finally:
        os.close(descriptor)


def _alert_lines(text: str) -> str:
    lines = [line.partition(" : ")[2] for line in text.splitlines() if line.startswith("[ALERT]")]
    return "; ".join(line.strip() for line in lines[:5])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _refused(config: Path, message: str) -> PreconditionError:
    return PreconditionError(
        Problem(
            "door-config-refused",
            f"HAProxy refuses the new configuration, the old one stays in use: {message}",
            str(config),
        )
    )
