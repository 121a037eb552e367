"""`up`: one running, proven engine per profile, however often it is called."""

from __future__ import annotations

import shlex
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.codec import encode
from launcher.errors import ExitCode, PreconditionError, Problem
from launcher.instance import remains, start, teardown
from launcher.instance.differences import differences
from launcher.instance.interrupt import Interrupt, interruptible
from launcher.instance.options import StartOptions
from launcher.instance.payloads import Up
from launcher.instance.start_follower import OnEvent, follow, read_reported, ready_result
from launcher.instance.store import InstanceDir, Lock, instance_dir, make_folder
from launcher.json_values import at, object_at
from launcher.keeper.control import Client
from launcher.lifecycle import COMING, InstanceState
from launcher.preparation import prepare
from launcher.profile.model import Profile
from launcher.result import Result

Preflight = Callable[[prepare.Prepared, int | None], tuple[str, ...]]
"""Refuses by raising, or returns the names of the checks that were overridden.

The number is the keeper's of an instance that still runs while its restart is rehearsed.
"""

BUSY_DEADLINE = 60.0
"""Seconds to wait for another `up` or `down` of the same instance to get to a state."""
BUSY_POLL = 0.05
"""Seconds between two looks at a lock: the kernel sends no event when an flock is released."""


def up(
    profile: Profile,
    *,
    on_event: OnEvent,
    foreground: bool = False,
    preflight: Preflight | None = None,
    preferred: Mapping[str, int] | None = None,
    arguments: Sequence[str] = (),
    force: Sequence[str] = (),
    interrupt: Interrupt | None = None,
) -> Result[Up]:
    """Bring the profile's instance up, or find it running identically, and return when ready.

    Events of the start go to `on_event` as they happen. With `foreground` this process becomes
    the keeper and does not return. `arguments` are the words that ask a verb for this profile, with
    its options; a remedy repeats them. `force` names the checks that `preflight` may override; they
    are recorded for a restart by name. Without `interrupt` this process's signals end the start;
    a caller that starts several at once, in threads, tells each by its own.

    Raises:
        DeployError: with the documented exit codes; nothing is half done then.
    """
    instance = instance_dir(profile.name)
    with nullcontext(interrupt) if interrupt else interruptible() as interrupt:
        try:
            end = time.monotonic() + BUSY_DEADLINE
            while time.monotonic() < end:
                make_folder(instance)
                lock = teardown.take_if_free(instance)
                if lock is not None:
                    options = StartOptions(tuple(force), foreground)
                    begin = _Start(
                        instance, profile, on_event, interrupt, preflight, preferred, options
                    )
                    return begin.run(lock)
                joined = _join(instance, profile, on_event, interrupt, arguments)
                if joined is not None:
                    return joined
                time.sleep(BUSY_POLL)
        except KeyboardInterrupt:
            problem = Problem("interrupted", "interrupted before anything was started")
            return Result("up", None, instance.name, interrupt.exit_code, (problem,))
    raise PreconditionError.of(
        "locked", f"another command has been working on {instance.name} for {BUSY_DEADLINE:g} s",
        str(instance.folder / "lock"), "find it with `fuser` on that file",
    )  # fmt: skip


@dataclass
class _Start:
    """One start by the holder of the lock."""

    instance: InstanceDir
    profile: Profile
    on_event: OnEvent
    interrupt: Interrupt
    preflight: Preflight | None
    preferred: Mapping[str, int] | None
    options: StartOptions

    def run(self, lock: Lock) -> Result[Up]:
        """Prepare, hand over to a keeper, follow it; until then all can be as it was before."""
        instance, foreground = self.instance, self.options.foreground
        fresh = not instance.exists
        prepared = None
        try:
            cleaned = remains.clean_if_lost(instance)
            if cleaned is not None:
                event = {"event": "cleaned", "receipt": encode(cleaned), "time": time.time()}
                self.on_event(event)
            prepared = prepare.prepare(
                self.profile, temporary=str(start.temporary_path()), preferred=self.preferred
            )
            forced = self.preflight(prepared, None) if self.preflight else ()
            secrets = start.resolve_secrets(prepared.plan)
            if foreground:
                # What comes from here on waits for the keeper, which is this process.
                signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
            self.interrupt.hold()
            start.write_files(instance, prepared, self.options)
            if foreground:
                start.become_keeper(instance, prepared, lock, secrets, forced)
            started = start.start(instance, prepared, lock, secrets, forced)
        except BaseException:
            if prepared is not None:
                prepared.leases.release()
            if fresh and not instance.exists:
                shutil.rmtree(instance.folder, ignore_errors=True)
            lock.release()
            raise
        lock.release()
        prepared.leases.release()
        return _learn(follow(instance, self.on_event, self.interrupt, started), prepared)


def _learn(result: Result[Up], prepared: prepare.Prepared) -> Result[Up]:
    """Keep how far the memory plan was off; a start is none the worse where nothing is learnt."""
    if result.exit_code is not ExitCode.DONE:
        return result
    from launcher.preparation.memory import learn

    folder = Path(prepared.plan.log_folder)
    lesson = learn(prepared.profile, prepared.installed.release, folder)
    return replace(result, data=replace(result.payload, memory=lesson)) if lesson else result


def _join(
    instance: InstanceDir,
    profile: Profile,
    on_event: OnEvent,
    interrupt: Interrupt,
    arguments: Sequence[str],
) -> Result[Up] | None:
    """Watch the start of another `up`; None where its keeper does not listen yet."""
    try:
        client = Client(instance.folder)
    except OSError:
        return None
    try:
        reported = object_at(client.request("status"), "state")
    except TimeoutError:
        raise PreconditionError.of(
            "keeper-timeout",
            f"the keeper of {instance.name} does not answer", str(instance.folder),
            f"`ernie-deploy status {instance.name}`; `ernie-deploy down {instance.name}`",
        ) from None  # fmt: skip
    except OSError:
        return None
    finally:
        client.close()
    if at(reported, "state") not in (*COMING, InstanceState.READY):
        return None
    different = differences(instance, profile)
    if different:
        raise PreconditionError.of(
            "different-configuration",
            f"{instance.name} already runs with another configuration: " + "; ".join(different),
            profile.path,
            f"`ernie-deploy restart {shlex.join(arguments or (profile.path or instance.name,))}`"
            " replaces it;"
            " `--name` starts another one beside it",
        )
    if at(reported, "state") == InstanceState.READY:
        return ready_result(instance, read_reported(reported), already=True)
    interrupt.raises = False
    return follow(instance, on_event, interrupt, None)
