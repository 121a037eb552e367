"""In what the configuration that runs differs from the one that is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping

from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject, JsonValue
from launcher.preparation import prepare
from launcher.profile.model import Profile


def differences(instance: InstanceDir, profile: Profile) -> list[str]:
    """In what a profile differs from the one that runs, key by key, for a message."""
    before, after = _flat(instance.profile()), _flat(profile.resolved)
    differing = []
    for key in sorted((set(before) | set(after)) - {"description"}):
        old, new = before.get(key, "not set"), after.get(key, "not set")
        if old != new and not key.startswith("render."):
            differing.append(f"{key}: runs {old}, asked {new}")
    if not differing:
        plan = instance.plan()
        _, installed, release = prepare.engine_of(profile)
        if release.version != plan.release:
            differing.append(f"engine release: runs {plan.release}, installed {release.version}")
        if installed.python != plan.argv[0] and os.path.dirname(
            installed.python
        ) != os.path.dirname(plan.argv[0]):
            differing.append(f"interpreter: runs {plan.argv[0]}, asked {installed.python}")
    return differing


def _flat(tree: JsonObject, prefix: str = "") -> dict[str, JsonValue]:
    flat: dict[str, JsonValue] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(_flat(value, path + "."))
        else:
            flat[path] = value
    return flat
