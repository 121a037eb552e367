"""The actions of a rollout, and the way back from any point of it: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.profile.service import RolloutSettings
from launcher.service.model import FULL, STANDBY, Action, Member, Rollout, ServiceState


def forward(rollout_strategy: str, old: Sequence[Member], new: Sequence[Member],
            settings: RolloutSettings) -> tuple[Action, ...]:  # fmt: skip
    """The actions that replace `old` by `new`."""
    if rollout_strategy == "rolling":
        return (*_rolling(old, new, settings), Action("commit"))
    names = _names(new)
    if rollout_strategy == "recreate":
        return (
            Action("retire", _names(old)),
            Action("start", names),
            Action("prove", names),
            Action("door"),
            Action("shift", names, dict.fromkeys(names, FULL), share=1.0),
            *_watch(names, settings.watch, 1.0),
            Action("commit"),
        )
    first = not old
    steps: list[Action] = [Action("start", names), Action("prove", names), Action("door")]
    for share in () if first else settings.canary:
        weights = shared_weights(_names(old), names, share)
        steps.append(Action("shift", names, weights, share=share))
        steps += _watch(names, settings.canary_watch, share)
    full = {**dict.fromkeys(_names(old), STANDBY), **dict.fromkeys(names, FULL)}
    steps.append(Action("shift", names, full, share=1.0))
    if not first:
        steps += _watch(names, settings.watch, 1.0)
        steps.append(Action("retire", _names(old)))
    steps.append(Action("commit"))
    return tuple(steps)


def _rolling(
    old: Sequence[Member], new: Sequence[Member], settings: RolloutSettings
) -> list[Action]:
    """One new replica after the other takes the place of an old one; each is watched."""
    steps: list[Action] = []
    remaining, arrived = list(old), list[Member]()
    for member in new:
        arrived.append(member)
        steps += [Action("start", (member.name,)), Action("prove", (member.name,)), Action("door")]
        leaving = remaining[:1]
        weights = {one.name: FULL for one in (*remaining[1:], *arrived)}
        weights |= {one.name: STANDBY for one in leaving}
        share = len(arrived) / max(1, len(arrived) + len(remaining) - len(leaving))
        steps.append(Action("shift", (member.name,), weights, share=share))
        steps += _watch((member.name,), settings.watch, share)
        if leaving:
            steps.append(Action("retire", _names(leaving)))
            remaining = remaining[1:]
    if remaining:
        steps.append(Action("retire", _names(remaining)))
    return steps


def scale(old: Sequence[Member], new: Sequence[Member], leaving: Sequence[Member]) \
        -> tuple[Action, ...]:  # fmt: skip
    """The actions that add `new` to the `old` replicas, or take `leaving` ones away."""
    steps: list[Action] = []
    if new:
        names = _names(new)
        steps += [Action("start", names), Action("prove", names)]
    steps.append(Action("door"))
    staying = [one for one in (*old, *new) if one not in leaving]
    weights = {one.name: FULL for one in staying} | {one.name: 0 for one in leaving}
    steps.append(Action("shift", _names(staying), weights, share=1.0))
    if leaving:
        steps.append(Action("retire", _names(leaving)))
    return (*steps, Action("commit"))


def back(state: ServiceState, rollout: Rollout) -> tuple[Action, ...]:
    """The actions that lead from where the rollout is now to its old replicas alone."""
    present = {member.name for member in state.members}
    missing = [member.name for member in rollout.old if member.name not in present]
    steps: list[Action] = []
    old, new = _names(rollout.old), _names(rollout.new)
    existing = tuple(name for name in new if name in present)
    if missing and rollout.strategy == "recreate":
        # Both do not fit.
        steps.append(Action("retire", existing))
        existing = ()
    if missing:
        steps.append(Action("start", tuple(missing)))
    if old:
        weights = {**dict.fromkeys(existing, 0), **dict.fromkeys(old, FULL)}
        steps += [Action("door"), Action("shift", old, weights, share=0.0)]
    if existing:
        steps.append(Action("retire", existing))
    steps.append(Action("commit"))
    return tuple(steps)


def shared_weights(old: Sequence[str], new: Sequence[str], share: float) -> dict[str, int]:
    """Weights by which the `new` replicas together get `share` (0 to 1) of the traffic."""
    if not old or not new:
        return dict.fromkeys((*old, *new), FULL)
    each_old, each_new = (1 - share) / len(old), share / len(new)
    largest = max(each_old, each_new)

    def weight(part: float) -> int:
        return max(1, round(FULL * part / largest))

    return {**dict.fromkeys(old, weight(each_old)), **dict.fromkeys(new, weight(each_new))}


def _watch(names: tuple[str, ...], seconds: float, share: float) -> list[Action]:
    return [Action("watch", names, seconds=seconds, share=share)] if seconds > 0 else []


def _names(members: Sequence[Member]) -> tuple[str, ...]:
    return tuple(member.name for member in members)
