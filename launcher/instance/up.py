"""`up`: one running, proven engine per profile, whoever calls it and how often."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from launcher import paths
from launcher.errors import (
    DeployError,
    ExitCode,
    PreconditionError,
    Problem,
)
from launcher.instance import ending, prepare, start
from launcher.instance.store import InstanceDir, Lock, every_instance, held, instance, view
from launcher.keeper.control import Client
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from launcher.result import Result

OnEvent = Callable[[Mapping[str, Any]], None]
Preflight = Callable[[prepare.Prepared], tuple[str, ...]]
"""Refuses by raising, or returns the names of the checks that were overridden."""

BUSY_DEADLINE = 60.0
"""Seconds to wait for another `up` or `down` of the same instance to get to a state."""
BUSY_POLL = 0.05
"""Seconds between two looks at a lock: the kernel tells nobody when an flock is released."""


@dataclass
class _Interrupt:
    """Which signal asked us to stop, if any."""

    number: int | None = None


def up(
    profile: Profile,
    *,
    on_event: OnEvent,
    foreground: bool = False,
    preflight: Preflight | None = None,
    preferred: Mapping[str, int] | None = None,
) -> Result:
    """Bring the profile's instance up, or find it running identically, and return when ready.

    Events of the start go to `on_event` as they happen. With `foreground` this process becomes
    the keeper and does not return.

    Raises:
        DeployError: with the documented exit codes; nothing is half done then.
    """
    found = instance(profile.name)
    try:
        paths.private_folder(found.folder)
    except OSError as error:
        raise PreconditionError.of(
            "state-not-writable", f"{found.folder}: {error.strerror}", None,
            "set ERNIE_DEPLOY_HOME to a folder that can be written",
        ) from None  # fmt: skip
    end = time.monotonic() + BUSY_DEADLINE
    while time.monotonic() < end:
        lock = Lock.take(found.folder)
        if lock is not None:
            return _start(found, profile, lock, on_event, foreground, preflight, preferred)
        joined = _join(found, profile, on_event)
        if joined is not None:
            return joined
        time.sleep(BUSY_POLL)
    raise PreconditionError.of(
        "locked", f"another command has been working on {found.name} for {BUSY_DEADLINE:g} s",
        str(found.folder / "lock"), "find it with `fuser` on that file",
    )  # fmt: skip


def _start(
    found: InstanceDir,
    profile: Profile,
    lock: Lock,
    on_event: OnEvent,
    foreground: bool,
    preflight: Preflight | None,
    preferred: Mapping[str, int] | None,
) -> Result:
    fresh = not found.exists
    temporary = None
    prepared = None
    handed_over = False
    try:
        cleaned = ending.clean_if_lost(found)
        if cleaned is not None:
            on_event({"event": "cleaned", "receipt": cleaned, "time": time.time()})
        temporary = start.make_temporary()
        prepared = prepare.prepare(profile, temporary=str(temporary), preferred=preferred)
        problems = prepare.shared_gpus(prepared.plan, running_plans(found.name))
        if problems:
            raise PreconditionError(problems)
        forced = preflight(prepared) if preflight else ()
        secrets = start.resolve_secrets(prepared.plan)
        start.write_files(found, prepared)
        if foreground:
            start.become_keeper(found, prepared, lock, secrets, forced)
        with _interruptible() as interrupt:
            started = start.start(found, prepared, lock, secrets, forced)
            handed_over = True
            lock.release()
            prepared.leases.release()
            return _follow(found, on_event, interrupt, owner=True, child=started)
    except BaseException:
        # Nothing is half done: as long as no keeper took over, all is as it was before.
        if not handed_over:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            if prepared is not None:
                prepared.leases.release()
            if fresh and not found.exists:
                shutil.rmtree(found.folder, ignore_errors=True)
            lock.release()
        raise


def running_plans(besides: str) -> dict[str, LaunchPlan]:
    """The plans of all instances that are alive, but for the one called `besides`."""
    plans = {}
    for other in every_instance():
        if other.name == besides:
            continue
        state, _, _ = view(other)
        if state in ("starting", "loading", "ready", "stopping"):
            try:
                plans[other.name] = other.plan()
            except DeployError:
                continue
    return plans


def _join(found: InstanceDir, profile: Profile, on_event: OnEvent) -> Result | None:
    """Watch the start that somebody else has under way; None where there is no keeper yet."""
    try:
        client = Client(found.folder)
    except OSError:
        return None
    try:
        state = client.request("status").get("state", {})
    except OSError:
        return None
    finally:
        client.close()
    if state.get("state") not in ("starting", "loading", "ready"):
        return None
    different = differences(found, profile)
    if different:
        raise PreconditionError.of(
            "different-configuration",
            f"{found.name} already runs with another configuration: " + "; ".join(different),
            profile.path,
            f"`ernie-deploy restart {profile.path or found.name}` replaces it;"
            " `--name` starts another one beside it",
        )
    if state["state"] == "ready":
        return _ready_result(found, state, already=True)
    with _interruptible() as interrupt:
        return _follow(found, on_event, interrupt, owner=False)


def differences(found: InstanceDir, profile: Profile) -> list[str]:
    """In what a profile differs from the one that runs, key by key, for a message."""
    before, after = _flat(found.profile()), _flat(dict(profile.resolved))
    said = []
    for key in sorted(set(before) | set(after)):
        old, new = before.get(key, "not set"), after.get(key, "not set")
        if old != new:
            said.append(f"{key}: runs {old}, asked {new}")
    if not said:
        plan = found.plan()
        _, installed, release = prepare.engine_of(profile)
        if release.version != plan.release:
            said.append(f"engine release: runs {plan.release}, installed {release.version}")
        if installed.python != plan.argv[0] and os.path.dirname(
            installed.python
        ) != os.path.dirname(plan.argv[0]):
            said.append(f"interpreter: runs {plan.argv[0]}, asked {installed.python}")
    return said


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(_flat(value, path + "."))
        else:
            flat[path] = value
    return flat


@contextmanager
def _interruptible() -> Iterator[_Interrupt]:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt once, noting which it was."""
    interrupt = _Interrupt()

    def note(number: int, frame: object) -> None:
        interrupt.number = number
        raise KeyboardInterrupt

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(
    found: InstanceDir,
    on_event: OnEvent,
    interrupt: _Interrupt,
    *,
    owner: bool,
    child: start.Started | None = None,
) -> Result:
    """Pass events on until the start is decided; `owner` takes down what an interrupt stops."""
    stopping = False
    final: Mapping[str, Any] | None = None
    try:
        client = Client(found.folder)
    except OSError:
        return _ended_result(found, _final_of(found), interrupt)
    try:
        with contextlib.suppress(ConnectionError):
            client.request("follow")
        events = client.events()
        while True:
            try:
                event = next(events, None)
                if event is None:
                    break
                on_event(event)
                if event["event"] == "state":
                    final = event
                    if event["state"] == "ready" and not stopping:
                        return _ready_result(found, None, already=False)
            except KeyboardInterrupt:
                if not owner:
                    return _detached(found, interrupt)
                stopping = True
                _ask_to_stop(found)
    finally:
        client.close()
        if child is not None and final is not None and final.get("state") != "ready":
            child.link.close()
            child.process.wait()
    if final is None:
        final = _final_of(found)
    return _ended_result(found, final, interrupt)


def _final_of(found: InstanceDir) -> Mapping[str, Any] | None:
    """The state a keeper left that ended before it could be followed."""
    end = time.monotonic() + BUSY_DEADLINE
    while held(found.folder) and time.monotonic() < end:
        time.sleep(BUSY_POLL)
    stored = found.state()
    return dict(stored.__dict__) if stored is not None else None


def _ask_to_stop(found: InstanceDir) -> None:
    client = Client(found.folder)
    try:
        client.request("stop", reason="interrupted", interrupt=True)
    finally:
        client.close()


def _detached(found: InstanceDir, interrupt: _Interrupt) -> Result:
    code = ExitCode.TERMINATED if interrupt.number == signal.SIGTERM else ExitCode.INTERRUPTED
    problem = Problem(
        "detached", f"stopped watching; the start of {found.name} goes on", None,
        f"`ernie-deploy status {found.name}`",
    )  # fmt: skip
    return Result("up", {"detached": True}, found.name, code, (problem,))


def _ready_result(found: InstanceDir, state: Mapping[str, Any] | None, *, already: bool) -> Result:
    if state is None:
        stored = found.state()
        state = stored.__dict__ if stored else {}
    data = {
        "state": "ready",
        "already": already,
        "base_url": state.get("base_url"),
        "ports": state.get("ports"),
        "seconds": round((state.get("ready_at") or 0) - (state.get("started_at") or 0), 3),
        "evidence": state.get("evidence"),
        "pid": (state.get("engine") or {}).get("pid"),
    }
    return Result("up", data, found.name)


def _ended_result(
    found: InstanceDir, final: Mapping[str, Any] | None, interrupt: _Interrupt
) -> Result:
    """The result of a start that did not get ready."""
    if final is None or final.get("state") not in ("failed", "died", "stopped"):
        problem = Problem(
            "keeper-lost", f"the keeper of {found.name} ended in the middle of the start",
            str(found.logs / "keeper.log"), f"`ernie-deploy down {found.name}` cleans up",
        )  # fmt: skip
        return Result("up", {"state": "lost"}, found.name, ExitCode.DID_NOT_START, (problem,))
    data = {"state": final["state"], "receipt": final.get("receipt")}
    if final["state"] == "stopped":
        code = ExitCode.TERMINATED if interrupt.number == signal.SIGTERM else ExitCode.INTERRUPTED
        if interrupt.number is None:
            code = ExitCode.DID_NOT_START
        problem = Problem("interrupted", "the start was interrupted; what it had started is gone")
        if interrupt.number is None:
            problem = Problem("stopped", "the start was stopped by a `down`")
        return Result("up", data, found.name, code, (problem,))
    error = final.get("error") or {}
    problem = Problem(
        error.get("code", "failed"), error.get("message", "the start failed"),
        error.get("where"), error.get("remedy"),
    )  # fmt: skip
    return Result("up", data, found.name, ExitCode(final["exit_code"]), (problem,))
