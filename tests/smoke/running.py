"""Targets of servers that a test has started itself: promises from the profile and the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from launcher import engines, paths
from launcher.profile import load
from launcher.smoke.target import Target
from launcher.smoke.targets.instances import shaped
from launcher.smoke.targets.resolve import of_url


def target_of_profile(
    name: str, url: str, model: str | None, release: str, sets: tuple[str, ...] = (), **changes: Any
) -> Target:
    """The server at `url` as an instance of the shipped profile `name` would be judged."""
    profile = load(str(paths.shipped("profiles", f"{name}.yaml")), sets=sets)
    engine = engines.get(profile.engine)
    settings: Mapping[str, Any] = {
        "kind": "instance",
        "engine": profile.engine,
        "release": release,
        "promises": engine.capabilities(profile, engine.release(release)),
        "max_model_len": profile.max_model_len,
        "max_num_seqs": profile.max_num_seqs or 8,
        **changes,
    }
    target = replace(of_url(url, model=model), **settings)
    return shaped(target, profile, (profile.model, target.model))
