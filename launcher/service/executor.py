"""Carries out a rollout, action by action, and goes back where one fails.

What is about to be done is written down before, what is done after, and every action can be
repeated: a command that is killed anywhere leaves a state from which another one goes on, or back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.store import instance_dir
from launcher.instance.up import Preflight
from launcher.json_values import JsonValue
from launcher.profile.model import Profile
from launcher.service import actions, groups, replicas
from launcher.service.failure import StepFailed
from launcher.service.figures import read_figures
from launcher.service.model import (
    FULL,
    Action,
    Failure,
    HistoryEntry,
    Member,
    Outcome,
    Rollout,
    ServiceState,
)
from launcher.service.proof import prove
from launcher.service.replicas import OnEvent
from launcher.service.revision import profile_of
from launcher.service.store import ServiceDir
from launcher.service.traffic import Traffic
from launcher.service.watch import Baseline, Reading, judge, rates, summary

WATCH_INTERVAL = 1.0
"""Seconds between two readings of a watch: counters at the door are not pushed."""


@dataclass(frozen=True)
class Ended:
    """How a rollout ended; `failure` is why it went back, `smoke` what the checks added up to."""

    outcome: Outcome
    state: ServiceState
    failure: Failure | None
    smoke: str


class Executor:
    """One command's work on one rollout; the caller holds the service's lock."""

    def __init__(
        self,
        service: ServiceDir,
        state: ServiceState,
        on_event: OnEvent,
        preflight: Preflight,
    ) -> None:
        """`state.rollout` is what has to be done."""
        self._service = service
        self._state = state
        self._on_event = on_event
        self._preflight = preflight
        self._traffic = Traffic(service)
        self._begun: Reading = {}
        self._begun_at = time.monotonic()
        self._baseline = Baseline()

    @property
    def state(self) -> ServiceState:
        """What the service is now."""
        return self._state

    @property
    def _rollout(self) -> Rollout:
        if self._state.rollout is None:
            raise AssertionError("there is a rollout until it is committed")
        return self._state.rollout

    def run(self) -> Ended:
        """Carry out what is left, forward or back.

        Raises:
            StepFailed: an action of the way back failed: the service needs a person.
            KeyboardInterrupt: the old revision has the traffic, and the rollout can be resumed.
        """
        self._begun = self._read()
        try:
            while self._state.rollout is not None and self._rollout.current is not None:
                rollout, action = self._rollout, self._rollout.current
                try:
                    self._carry_out(action)
                except (StepFailed, DeployError) as error:
                    failed = error if isinstance(error, StepFailed) else _as_step(error)
                    if rollout.direction == "back":
                        self._note_failure(failed)
                        raise failed from None
                    self.turn_back(failed.record(), aborted=False)
                    continue
                if action.kind == "commit":
                    return self._commit(rollout)
                self._update_rollout(done=rollout.done + 1)
        except KeyboardInterrupt:
            self._give_traffic_back()
            raise
        raise AssertionError("a rollout ends with a commit")

    def turn_back(self, failure: Failure | None, *, aborted: bool) -> None:
        """From now on lead back to the old replicas alone."""
        rollout = self._rollout
        steps = actions.back(self._state, rollout)
        self._update_rollout(
            actions=steps, done=0, direction="back", failure=failure or rollout.failure,
            aborted=aborted or rollout.aborted,
        )  # fmt: skip
        message = failure.message if failure else "aborted"
        self._emit("back", message=message)

    # -- actions -----------------------------------------------------------------------------------

    def _carry_out(self, action: Action) -> None:
        handlers: dict[str, Callable[[Action], None]] = {
            "start": self._start,
            "prove": self._prove,
            "door": self._door,
            "shift": self._shift,
            "watch": self._watch,
            "retire": self._retire,
            "commit": self._settle,
        }
        handlers[action.kind](action)

    def _start(self, action: Action) -> None:
        by_name = {member.name: member for member in (*self._rollout.old, *self._rollout.new)}
        members = [by_name[name] for name in action.members]
        for member in members:
            if self._state.member(member.name) is None:
                fresh = replace(member, weight=0, known_to_door=False)
                self._update(members=(*self._state.members, fresh))
        names = ", ".join(action.members)
        self._emit("start", members=list(action.members), message=names)
        launches = groups.launches([(member, self._profile(member)) for member in members])
        for one in replicas.start_together(launches, self._on_event, self._preflight):
            serving = one.result.data.serving if one.result.data else None
            url = serving.base_url if serving else None
            self._emit("ready", members=[one.name], message=f"{one.name} {url or ''}".rstrip())

    def _profile(self, member: Member) -> Profile:
        revision = self._service.revision(member.revision)
        return profile_of(revision, self._rollout.section)

    def _prove(self, action: Action) -> None:
        texts = []
        for name in action.members:
            settings = self._settings_profile().service
            assert settings is not None  # noqa: S101  (a service has the section)
            text = prove(name, settings.rollout.smoke_tags)
            texts.append(text)
            self._emit("smoke", members=[name], message=f"{name}: {text}")
        earlier = self._rollout.smoke
        self._update_rollout(smoke="; ".join([*([earlier] if earlier else []), *texts]))

    def _settings_profile(self) -> Profile:
        """What holds for the service now: on the way back what held before."""
        rollout = self._rollout
        back = rollout.direction == "back"
        section = rollout.section_before if back else rollout.section
        revision = rollout.source if back and rollout.source is not None else rollout.target
        return profile_of(self._service.revision(revision), section)

    def _door(self, action: Action) -> None:
        door = self._traffic.open(self._state, self._settings_profile())
        if door != self._state.door:
            self._update(door=door)
            self._emit("door", message=f"{self._service.door_instance} listens at {door.url}")

    def _shift(self, action: Action) -> None:
        if self._rollout.direction == "forward":
            self._measure_baseline()
        members = tuple(
            replace(one, weight=action.weights[one.name], known_to_door=True)
            if one.name in action.weights
            else one
            for one in self._state.members
        )
        self._update(members=members)
        self._traffic.apply(self._state, self._settings_profile())
        self._check_up(action)
        names = ", ".join(action.members)
        self._emit(
            "traffic", members=list(action.members), share=action.share,
            message=f"{action.share:.0%} to {names}" if self._rollout.direction == "forward"
            else f"back to {names}",
        )  # fmt: skip

    def _check_up(self, action: Action) -> None:
        """The door's own checks have the last word on what it sends requests to."""
        expected = [
            name for name, weight in action.weights.items() if weight and replicas.is_ready(name)
        ]
        down = self._traffic.wait_until_up(expected)
        if down and self._rollout.direction == "forward":
            raise StepFailed(
                Problem(
                    "replica-down", f"the front door does not reach {', '.join(down)}", None,
                    f"`ernie-deploy probe {down[0]} --ready`",
                ),
                ExitCode.NEGATIVE,
            )  # fmt: skip

    def _watch(self, action: Action) -> None:
        settings = self._settings_profile().service
        assert settings is not None  # noqa: S101  (a service has the section)
        start = self._read()
        end = time.monotonic() + action.seconds
        self._emit("watch", members=list(action.members), seconds=action.seconds,
                   message=f"for {action.seconds:g} s")  # fmt: skip
        now = start
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(WATCH_INTERVAL, left))
            now = self._read()
            judge(start, now, action.members, self._baseline, settings.rollout)
        current = rates(start, now, action.members)
        self._emit("watched", members=list(action.members), message=summary(current))

    def _retire(self, action: Action) -> None:
        settings = self._settings_profile().service
        assert settings is not None  # noqa: S101  (a service has the section)
        present = [one for one in self._state.members if one.name in action.members]
        if not present:
            return
        names = [one.name for one in present]
        self._emit("drain", members=names, message=", ".join(names))
        self._update(members=tuple(
            replace(one, weight=0) if one.name in names else one for one in self._state.members
        ))  # fmt: skip
        listed = [one.name for one in present if one.known_to_door]
        if listed and self._state.door is not None:
            self._traffic.apply(self._state, self._settings_profile())
            running = self._traffic.drain(listed, settings.rollout.drain)
            if running:
                text = f"{running} requests still run after {settings.rollout.drain:g} s"
                self._emit("cut", members=listed, message=text)
                for member in present:
                    self._stop(member, aside=False)
            self._update(members=tuple(
                replace(one, known_to_door=False) if one.name in names else one
                for one in self._state.members
            ))  # fmt: skip
            self._traffic.apply(self._state, self._settings_profile())
        for member in present:
            self._stop(member)
            self._update(members=tuple(
                one for one in self._state.members if one.name != member.name
            ))  # fmt: skip
        self._emit("stopped", members=names, message=", ".join(names))

    def _stop(self, member: Member, *, aside: bool = True) -> None:
        """Stop a replica, the instance that takes requests first, and put its folder aside."""
        for name in reversed(member.instances):
            problem = replicas.stop(name)
            if problem is not None:
                raise StepFailed(problem, ExitCode.NEGATIVE)
            if aside:
                self._service.retire(instance_dir(name).folder)

    # -- the end -----------------------------------------------------------------------------------

    def _settle(self, action: Action) -> None:
        """End a gateway that the replicas of now do not need; what is left of it undoes nothing."""
        try:
            self._traffic.end_gateway(self._state, self._settings_profile())
        except (StepFailed, DeployError) as error:
            failed = error if isinstance(error, StepFailed) else _as_step(error)
            self._emit("gateway", message=f"the gateway does not end: {failed.problem.message}")

    def _commit(self, rollout: Rollout) -> Ended:
        forward = rollout.direction == "forward"
        outcome: Outcome = "serving" if forward else "rolled-back"
        if not forward and rollout.aborted:
            outcome = "aborted"
        if not forward and not rollout.old:
            self._traffic.close()
            self._update(door=None)
        self._record(rollout, outcome)
        if forward:
            previous = self._state.revision
            self._update(
                revision=rollout.target, replicas=rollout.replicas, section=rollout.section,
                previous=previous if previous != rollout.target else self._state.previous,
                rollout=None,
            )  # fmt: skip
        else:
            self._update(rollout=None)
        return Ended(outcome, self._state, rollout.failure, rollout.smoke)

    def _record(self, rollout: Rollout, outcome: Outcome) -> None:
        revision = self._service.revision(rollout.target)
        failure = rollout.failure
        self._service.append_history(
            HistoryEntry(
                id=rollout.id,
                kind=rollout.kind,
                at=round(time.time(), 3),
                seconds=round(time.time() - rollout.started_at, 3),
                user=rollout.owner.user,
                host=rollout.owner.host,
                message=rollout.owner.message,
                source=rollout.source,
                target=rollout.target,
                engine=revision.engine,
                release=revision.release,
                strategy=rollout.strategy,
                replicas=rollout.replicas,
                smoke=rollout.smoke,
                outcome=outcome,
                error=f"{failure.code}: {failure.message}" if failure else None,
                exit_code=failure.exit_code if failure else 0,
            )
        )

    def _note_failure(self, failed: StepFailed) -> None:
        """The way back failed too: the state says both."""
        first = self._rollout.failure
        second = failed.record()
        if first is not None and first.message not in second.message:
            second = replace(second, message=f"{first.message}; and on the way back:"
                             f" {second.message}")  # fmt: skip
        serving = any(replicas.is_ready(one.name) for one in self._state.members if one.weight > 0)
        code = second.exit_code if serving else int(ExitCode.DIED)
        self._update_rollout(failure=replace(second, exit_code=code))
        failed.exit_code = ExitCode(code)

    def _give_traffic_back(self) -> None:
        """After Ctrl-C: the old revision gets the traffic, and the rollout begins there again."""
        rollout = self._rollout if self._state.rollout is not None else None
        if rollout is None or rollout.direction == "back":
            return
        done = rollout.actions[: rollout.done + 1]
        if not rollout.old or any(one.kind == "retire" for one in done):
            return
        first = next((i for i, one in enumerate(done) if one.kind == "shift"), None)
        if first is None:
            return
        old = {one.name for one in rollout.old}
        members = tuple(
            replace(one, weight=FULL if one.name in old else 0) if one.known_to_door else one
            for one in self._state.members
        )
        self._update(members=members)
        self._traffic.apply(self._state, self._settings_profile())
        self._update_rollout(done=first)

    # -- state -------------------------------------------------------------------------------------

    def _read(self) -> Reading:
        return read_figures(self._state, self._traffic)

    def _measure_baseline(self) -> None:
        """What the old replicas did since this command began, before the traffic moves."""
        if self._baseline.answers:
            return
        current = rates(self._begun, self._read(), [one.name for one in self._rollout.old])
        self._baseline = Baseline(current.latency, current.ttft, current.answers)

    def _update(self, **changes: object) -> None:
        self._state = self._service.write(replace(self._state, **changes))  # type: ignore[arg-type]

    def _update_rollout(self, **changes: object) -> None:
        self._update(rollout=replace(self._rollout, **changes))  # type: ignore[arg-type]

    def _emit(self, action: str, *, message: str, **more: JsonValue) -> None:
        event: dict[str, JsonValue] = {
            "event": "rollout", "action": action, "message": message,
            "time": round(time.time(), 3), "service": self._service.name, **more,
        }  # fmt: skip
        self._on_event(event)


def _as_step(error: DeployError) -> StepFailed:
    return StepFailed(error.problems[0], error.exit_code)
